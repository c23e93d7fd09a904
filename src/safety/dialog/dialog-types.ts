/** What a dialog asks. */
export interface DialogRequest {
  readonly message: string;
  /** `approve`: Approve or Decline. `name`: the name has to be typed. */
  readonly field: 'approve' | 'name';
  readonly timeoutMs: number;
}

/** What the person did. Only `approved` and the right name are a yes. */
export type DialogAnswer =
  | { readonly kind: 'approved' }
  | { readonly kind: 'typed'; readonly name: string }
  | { readonly kind: 'declined' }
  | { readonly kind: 'timed-out' }
  /** It couldn't be shown, so nobody was asked. */
  | { readonly kind: 'unavailable'; readonly why: string };

/** Programs that can show a dialog. */
export type DialogTool = 'osascript' | 'powershell' | 'zenity' | 'kdialog';

export interface DialogEnd {
  /** null when it was ended by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

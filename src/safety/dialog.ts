/** What a dialog asks. */
export interface DialogRequest {
  readonly message: string;
  /** `approve`: Approve or Decline. `name`: the name has to be typed. */
  readonly field: 'approve' | 'name';
  readonly timeoutMs: number;
}

export type DialogAnswer =
  | { readonly kind: 'approved' }
  | { readonly kind: 'typed'; readonly name: string }
  | { readonly kind: 'declined' }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'unavailable'; readonly why: string };

export type DialogAvailability =
  | { readonly kind: 'available'; readonly tool: string }
  | { readonly kind: 'unavailable'; readonly why: string };

/** Asks a person on their own desktop. */
export interface Dialog {
  availability(): DialogAvailability;
  /** Opens the dialog and gives what the person did. Ends it when the signal aborts (`timed-out`). */
  ask(request: DialogRequest, signal: AbortSignal): Promise<DialogAnswer>;
}

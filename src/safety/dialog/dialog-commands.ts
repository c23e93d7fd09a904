import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { toAsciiJson } from '../../core/values.ts';
import { windowsProgram } from '../../core/paths.ts';

/** A question for a dialog. */
export interface DialogRequest {
  readonly message: string;
  /** `approve`: Approve or Decline. `name`: the name has to be typed. */
  readonly field: 'approve' | 'name';
  readonly timeoutMs: number;
}

/** The user's answer. Only `approved` and the right name are an approval. */
export type DialogAnswer =
  | { readonly kind: 'approved' }
  | { readonly kind: 'typed'; readonly name: string }
  | { readonly kind: 'declined' }
  | { readonly kind: 'timed-out' }
  /** The dialog couldn't be shown, so nobody was asked. */
  | { readonly kind: 'unavailable'; readonly why: string };

/** Programs that can show a dialog. */
export type DialogTool = 'osascript' | 'powershell' | 'zenity' | 'kdialog';

/** The end of the program. */
export interface DialogEnd {
  /** null if it was terminated by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The process of a dialog: without a shell, and without the message inside a script. */
interface DialogCommand {
  readonly args: readonly string[];
  readonly stdin: string;
  /** Reads the user's answer from how the process ended. */
  read(ended: DialogEnd): DialogAnswer;
}

const TITLE = 'dstack: your approval is needed';

/** Builds the command for one of the programs. All of them decline by default. */
export function buildDialog(tool: DialogTool, request: DialogRequest): DialogCommand {
  switch (tool) {
    case 'osascript':
      return buildOsascript(request);
    case 'powershell':
      return buildPowerShell(request);
    case 'zenity':
      return buildZenity(request);
    case 'kdialog':
      return buildKdialog(request);
    default:
      return tool satisfies never;
  }
}

const seconds = (timeoutMs: number): string => String(Math.max(1, Math.ceil(timeoutMs / 1000)));

function buildOsascript({ message, field, timeoutMs }: DialogRequest): DialogCommand {
  const answer = field === 'name' ? ' default answer ""' : '';
  const script = [
    'on run argv',
    `set shown to display dialog (item 1 of argv) with title (item 2 of argv)${answer} buttons {"Decline", "Approve"} ` +
      'default button "Decline" cancel button "Decline" with icon caution giving up after ((item 3 of argv) as integer)',
    'if gave up of shown then return "timed-out"',
    'if button returned of shown is not "Approve" then return "declined"',
    field === 'name' ? 'return "typed:" & (text returned of shown)' : 'return "approved"',
    'end run',
  ];
  return {
    // The message is an argument of the script. It starts with a fixed word, so it can't be mistaken for an option.
    args: [...script.flatMap((line) => ['-e', line]), `Approve?\n\n${message}`, TITLE, seconds(timeoutMs)],
    stdin: '',
    read: (ended) =>
      ended.code !== 0 && ended.stderr.includes('-128') ? { kind: 'declined' } : readWord(ended, field),
  };
}

// The script is fixed and has only single quotes, so that nothing has to be escaped when Windows joins arguments. The message comes as
// ASCII JSON on standard input, because PowerShell reads it in the console's code page.
const POWERSHELL_SCRIPT = [
  "$ErrorActionPreference = 'Stop'",
  'Add-Type -AssemblyName System.Windows.Forms',
  'Add-Type -AssemblyName System.Drawing',
  '$asked = [Console]::In.ReadToEnd() | ConvertFrom-Json',
  "$typed = $asked.field -eq 'name'",
  '$form = New-Object System.Windows.Forms.Form',
  '$form.Text = $asked.title',
  '$form.TopMost = $true',
  "$form.StartPosition = 'CenterScreen'",
  "$form.FormBorderStyle = 'FixedDialog'",
  '$form.AutoSize = $true',
  "$form.AutoSizeMode = 'GrowAndShrink'",
  '$panel = New-Object System.Windows.Forms.FlowLayoutPanel',
  "$panel.FlowDirection = 'TopDown'",
  '$panel.WrapContents = $false',
  '$panel.AutoSize = $true',
  '$label = New-Object System.Windows.Forms.Label',
  '$label.UseMnemonic = $false',
  '$label.AutoSize = $true',
  '$label.MaximumSize = New-Object System.Drawing.Size 560, 0',
  '$label.Text = $asked.message',
  '$box = New-Object System.Windows.Forms.TextBox',
  '$box.Width = 560',
  '$decline = New-Object System.Windows.Forms.Button',
  "$decline.Text = 'Decline'",
  "$decline.DialogResult = 'Cancel'",
  '$approve = New-Object System.Windows.Forms.Button',
  "$approve.Text = 'Approve'",
  "$approve.DialogResult = 'OK'",
  '$panel.Controls.Add($label)',
  'if ($typed) { $panel.Controls.Add($box) }',
  '$panel.Controls.Add($decline)',
  '$panel.Controls.Add($approve)',
  '$form.Controls.Add($panel)',
  '$form.CancelButton = $decline',
  '$form.AcceptButton = $decline',
  'if ($typed) { $form.ActiveControl = $box } else { $form.ActiveControl = $decline }',
  '$result = $form.ShowDialog()',
  "if ($result -ne 'OK') { 'declined' } elseif ($typed) { 'typed:' + $box.Text } else { 'approved' }",
].join('; ');

function buildPowerShell({ message, field }: DialogRequest): DialogCommand {
  const asked = JSON.stringify({ title: TITLE, message: message.replaceAll('\n', '\r\n'), field });
  return {
    args: ['-NoLogo', '-NoProfile', '-NonInteractive', '-STA', '-Command', POWERSHELL_SCRIPT],
    stdin: toAsciiJson(asked),
    read: (ended) => readWord(ended, field),
  };
}

/** Reads the answer of the programs that print a word. Any other output is not an approval. */
function readWord({ code, stdout, stderr }: DialogEnd, field: DialogRequest['field']): DialogAnswer {
  if (code === null) return { kind: 'timed-out' };
  if (code !== 0) return unavailable(stderr, code);
  const word = stdout.replace(/\r?\n$/, '');
  if (field === 'name' && word.startsWith('typed:')) return { kind: 'typed', name: word.slice('typed:'.length) };
  if (field === 'approve' && word === 'approved') return { kind: 'approved' };
  return { kind: word === 'timed-out' ? 'timed-out' : 'declined' };
}

function buildZenity({ message, field, timeoutMs }: DialogRequest): DialogCommand {
  const common = [
    `--title=${TITLE}`,
    '--ok-label=Approve',
    '--cancel-label=Decline',
    '--width=480',
    `--timeout=${seconds(timeoutMs)}`,
  ];
  // The entry interprets backslash escapes and underscores (as access keys); the question without markup interprets neither.
  const entryText = message.replaceAll('\\', '\u29f5').replaceAll('_', '__');
  return {
    args:
      field === 'name'
        ? ['--entry', `--text=${entryText}`, ...common]
        : [
            '--question',
            '--no-markup',
            '--default-cancel',
            '--icon-name=dialog-warning',
            `--text=${message}`,
            ...common,
          ],
    stdin: '',
    read({ code, stdout, stderr }) {
      // zenity exits with 1 both for Decline and for a missing display.
      if (code === 1 && /display/i.test(stderr) && /open|connect/i.test(stderr)) return unavailable(stderr, code);
      if (code === null || code === 5) return { kind: 'timed-out' };
      if (code === 1) return { kind: 'declined' };
      if (code !== 0) return unavailable(stderr, code);
      return field === 'name' ? { kind: 'typed', name: stdout.replace(/\n$/, '') } : { kind: 'approved' };
    },
  };
}

function buildKdialog({ message, field }: DialogRequest): DialogCommand {
  // Qt guesses whether a text is HTML; without angle brackets and ampersands it never is. It also interprets backslash escapes.
  const text = message
    .replaceAll('\\', '\u29f5')
    .replaceAll('<', '\u2039')
    .replaceAll('>', '\u203a')
    .replaceAll('&', '+');
  return {
    args:
      field === 'name'
        ? ['--title', TITLE, '--inputbox', `Approve?\n\n${text}`]
        : [
            '--title',
            TITLE,
            '--yes-label',
            'Approve',
            '--no-label',
            'Decline',
            '--warningyesno',
            `Approve?\n\n${text}`,
          ],
    stdin: '',
    read({ code, stdout, stderr }) {
      if (code === null) return { kind: 'timed-out' };
      if (code === 1 || code === 2) return { kind: 'declined' };
      if (code !== 0) return unavailable(stderr, code);
      return field === 'name' ? { kind: 'typed', name: stdout.replace(/\n$/, '') } : { kind: 'approved' };
    },
  };
}

const unavailable = (stderr: string, code: number): DialogAnswer => ({
  kind: 'unavailable',
  why: stderr.trim().split('\n').at(-1)?.slice(0, 200) || `it exited with code ${code}`,
});

export type FoundDialog =
  | { readonly kind: 'available'; readonly tool: DialogTool; readonly file: string }
  | { readonly kind: 'unavailable'; readonly why: string };

interface FindDialogOptions {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isExecutable?: (file: string) => boolean;
}

/** Finds the program that can show a dialog to the user at this machine, or says why there is none. */
export function findDialog({ platform, env, isExecutable = canExecute }: FindDialogOptions): FoundDialog {
  const found = (tool: DialogTool, file: string): FoundDialog =>
    isExecutable(file) ? { kind: 'available', tool, file } : { kind: 'unavailable', why: `${file} is missing` };
  // Over SSH, the desktop of this machine isn't the user's. A forwarded X display is.
  const remote = env['SSH_CONNECTION'] !== undefined;
  if (platform === 'darwin') return remote ? overSsh : found('osascript', '/usr/bin/osascript');
  if (platform === 'win32')
    return remote ? overSsh : found('powershell', windowsProgram('WindowsPowerShell\\v1.0\\powershell.exe', env));
  if (!env['DISPLAY'] && !env['WAYLAND_DISPLAY'])
    return { kind: 'unavailable', why: 'there is no desktop (no DISPLAY, no WAYLAND_DISPLAY)' };
  // System folders first: a program that merely calls itself zenity could answer for the user.
  const inPath = (env['PATH'] ?? '').split(':').filter((folder) => path.posix.isAbsolute(folder));
  for (const tool of ['zenity', 'kdialog'] as const) {
    const file = ['/usr/bin', '/bin', '/usr/local/bin', ...inPath]
      .map((folder) => path.posix.join(folder, tool))
      .find(isExecutable);
    if (file !== undefined) return { kind: 'available', tool, file };
  }
  return { kind: 'unavailable', why: 'neither zenity nor kdialog is installed' };
}

const overSsh: FoundDialog = { kind: 'unavailable', why: 'the server runs over SSH' };

function canExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

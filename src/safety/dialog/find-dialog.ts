import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { windowsProgram } from '../../core/paths.ts';
import type { DialogTool } from './dialog-commands.ts';

export type FoundDialog =
  | { readonly kind: 'available'; readonly tool: DialogTool; readonly file: string }
  | { readonly kind: 'unavailable'; readonly why: string };

export interface FindDialogOptions {
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

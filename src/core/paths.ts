import { homedir } from 'node:os';
import path from 'node:path';
import { access, stat } from 'node:fs/promises';

/** Whether a path is below the folder, not the folder itself. On Windows, a path to another drive is absolute. */
export function isBelow(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

/** Whether a path is the folder, or below it. */
export const containsPath = (folder: string, file: string): boolean =>
  path.relative(folder, file) === '' || isBelow(folder, file);

/** Returns the user's home folder as dstack finds it for a process with this environment (Python's `os.path.expanduser`). */
export const homeFolder = (env: Readonly<Record<string, string | undefined>>, platform = process.platform): string =>
  env[platform === 'win32' ? 'USERPROFILE' : 'HOME'] ?? homedir();

/** Replaces a leading `~` by the home folder. Another user's (`~name`) stays. */
export const expandHome = (file: string, home: string): string => file.replace(/^~(?=$|[/\\])/, () => home);

/** Whether a path exists; with a mode of `constants`, also whether this process may use it so. */
export const canAccess = (path: string, mode?: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Programs that are part of Windows. */
type WindowsProgram = 'taskkill.exe' | 'WindowsPowerShell\\v1.0\\powershell.exe';

/** Returns the path of a program. A name alone would be looked up in the working directory first, where anyone could have put one. */
export const windowsProgram = (
  program: WindowsProgram,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string => path.win32.join(env['SystemRoot'] ?? 'C:\\Windows', 'System32', program);

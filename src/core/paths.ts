import { homedir } from 'node:os';
import path from 'node:path';

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

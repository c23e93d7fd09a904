import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';

/** Creates a folder for this user only, or makes an existing one private. @throws Error if it can't be that */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw refused(`${folder} is not a folder`, 'ENOTDIR');
  if (process.platform === 'win32') return;
  if (found.uid !== process.getuid?.()) throw refused(`${folder} belongs to another user`, 'EPERM');
  if (!isPrivate(found)) chmodSync(folder, 0o700);
}

/** An error like those of the file system, with which it is reported. */
const refused = (message: string, code: string): Error => Object.assign(new Error(message), { code, syscall: 'mkdir' });

/** Reads a file. @throws Error unless it is a regular file that only this user can read and write, in such a folder */
export function readPrivateFile(file: string): Buffer {
  const fd = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${file} is not a regular file`);
    // Whoever can write to the folder could have moved another file there.
    if (![found, lstatSync(path.dirname(file))].every(isOwn)) throw new Error(`${file} is open to other users`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

const isOwn = (found: Stats): boolean =>
  process.platform === 'win32' || (found.uid === process.getuid?.() && isPrivate(found));

const isPrivate = ({ mode }: Stats): boolean => (mode & 0o077) === 0;

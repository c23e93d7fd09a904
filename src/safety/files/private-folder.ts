import { chmodSync, closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import type { Stats } from 'node:fs';

/** Creates a folder for this user only, or makes an existing one private. @throws Error if it can't be that */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw new Error(`${folder} is not a folder`);
  if (process.platform === 'win32') return;
  if (found.uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user`);
  if (!isPrivate(found)) chmodSync(folder, 0o700);
}

/** Reads a file. @throws Error unless it is a regular file that only this user can read and write */
export function readPrivateFile(file: string): Buffer {
  const fd = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${file} is not a regular file`);
    const isOwn = process.platform === 'win32' || (found.uid === process.getuid?.() && isPrivate(found));
    if (!isOwn) throw new Error(`${file} is open to other users`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

const isPrivate = ({ mode }: Stats): boolean => (mode & 0o077) === 0;

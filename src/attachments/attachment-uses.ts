import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { readPrivateFile, writePrivateFile } from '../safety/files/private-files.ts';
import type { AttachmentRecord, AttachmentStore } from './attachment-store.ts';
import { isAlive, lookUpProcess } from './process-identity.ts';

// A temporary attachment has one file for each server that uses it, named after its process ID and with its start time, so that a killed
// server doesn't count. Once a user attaches, too, it is the user's: the file `user` keeps it.

/** The name of the file of a user. */
const USER = 'user';

export type Use = 'user' | 'session';

/** Remembers that this server, or the user, uses an attachment. Nothing to remember if it isn't temporary: it is the user's anyway. */
export async function addUse(
  { id, temporary }: Pick<AttachmentRecord, 'id' | 'temporary'>,
  use: Use,
  store: Pick<AttachmentStore, 'usesFolder'>,
): Promise<void> {
  if (temporary !== true) return;
  const folder = store.usesFolder(id);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const startedAt = use === 'user' ? '' : (await lookUpProcess(process.pid))?.startedAt;
  await writePrivateFile(path.join(folder, use === 'user' ? USER : String(process.pid)), startedAt ?? '');
}

/** Forgets that this server uses an attachment. */
export async function removeUse(id: string, store: Pick<AttachmentStore, 'usesFolder'>): Promise<void> {
  await rm(path.join(store.usesFolder(id), String(process.pid)), { force: true });
}

/** Whether an attachment is temporary and nobody uses it anymore. */
export async function isUnused(
  { id, temporary }: Pick<AttachmentRecord, 'id' | 'temporary'>,
  store: Pick<AttachmentStore, 'usesFolder'>,
): Promise<boolean> {
  if (temporary !== true) return false;
  const folder = store.usesFolder(id);
  const names = await readdir(folder).catch(() => []);
  const uses = await Promise.all(names.map((name) => isUse(folder, name)));
  return !uses.includes(true);
}

async function isUse(folder: string, name: string): Promise<boolean> {
  if (name !== USER && !/^\d+$/.test(name)) return false;
  const startedAt = readUse(path.join(folder, name));
  if (startedAt === undefined) return false;
  if (name === USER) return true;
  return isAlive({ pid: Number(name), startedAt });
}

/** Returns what a use says; undefined if somebody else may have written it. */
function readUse(file: string): string | undefined {
  try {
    return readPrivateFile(file).toString();
  } catch {
    return undefined;
  }
}

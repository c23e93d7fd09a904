import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const folders: string[] = [];
const pending: (() => Promise<unknown>)[] = [];

/** Creates a folder that is removed after the last test of the file. */
export function emptyFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'dstack-mcp-test-'));
  folders.push(folder);
  return folder;
}

/** Delays the removal until this has settled: for what may still be writing into a folder. */
export function settleBeforeRemoval(settled: () => Promise<unknown>): void {
  pending.push(settled);
}

/** Removes every temporary folder of the file. The setup file `remove-temporary-folders` calls this. */
export async function removeTemporaryFolders(): Promise<void> {
  await Promise.all(pending.splice(0).map((settled) => settled()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

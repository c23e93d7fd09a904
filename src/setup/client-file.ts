import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, readFile, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, messageOf, ToolError } from '../core/errors.ts';
import { asToolError, assertWritable, replaceFile } from '../safety/files/replace-file.ts';
import type { FileChange, FileTexts } from './plan-setup.ts';

/** A client's configuration file on disk, and the backup next to it. */
export interface ClientFile {
  /** With links resolved: a link stays a link, and its target is changed. */
  readonly path: string;
  readonly backupPath: string;
  readonly texts: FileTexts;
}

/** Reads a client's file and its backup. @throws ToolError `invalid-file` if it can't be read or isn't a text file */
export async function readClientFile(named: string): Promise<ClientFile> {
  const file = await realpath(named).catch(() => path.resolve(named));
  const backupPath = `${file}.before-dstack-mcp`;
  const [current, backup] = await Promise.all([readText(file), readText(backupPath)]);
  return { path: file, backupPath, texts: { current, backup } };
}

/** Applies a planned change, completely or not at all. @throws ToolError if the file has changed since or can't be written */
export async function applyFileChange(
  { path: file, backupPath, texts }: ClientFile,
  change: FileChange,
): Promise<void> {
  if (change.kind === 'none') return;
  try {
    await writeChange({ path: file, backupPath, texts }, change);
  } catch (error) {
    throw asToolError(error, file);
  }
}

async function writeChange(
  { path: file, backupPath, texts }: ClientFile,
  change: Exclude<FileChange, { kind: 'none' }>,
): Promise<void> {
  if (texts.current !== undefined) await assertWritable(file);
  const isUnchanged = async (): Promise<boolean> => (await readText(file)) === texts.current;
  if (change.kind === 'remove') {
    if (!(await isUnchanged())) throw changedSince(file);
    return rm(file);
  }
  await mkdir(path.dirname(file), { recursive: true });
  const exists = texts.current !== undefined;
  // A copy keeps the file's mode: it may contain other servers' secrets.
  if (change.backUp) {
    await rm(backupPath, { force: true });
    await copyFile(file, backupPath, constants.COPYFILE_EXCL);
  }
  try {
    const folder = await realpath(path.dirname(file));
    await replaceFile(path.join(folder, path.basename(file)), change.after, { exists, isUnchanged });
  } catch (error) {
    if (error instanceof ToolError && error.code === 'plan-changed') throw changedSince(file);
    throw error;
  }
  if (change.after === texts.backup) await rm(backupPath, { force: true });
}

async function readText(file: string): Promise<string | undefined> {
  try {
    if ((await lstat(file)).size > MAX_BYTES) throw unreadable(file, 'it is too large to be a configuration');
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof ToolError) throw error;
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unreadable(file, messageOf(error));
  }
}

const MAX_BYTES = 5_000_000;

const unreadable = (file: string, why: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} can't be read: ${why}. Nothing was changed.`,
    'Check the file, then run this again.',
  );

const changedSince = (file: string): ToolError =>
  new ToolError('plan-changed', `${file} was modified by another program. Nothing was changed.`, 'Run this again.');

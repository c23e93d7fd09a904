import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, readFile, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { codeOf, messageOf, ToolError } from '../core/errors.ts';
import { assertWritable, asToolError, replaceFile } from '../safety/files/regular-files.ts';
import { isRecord } from '../core/values.ts';

/** The location of an entry in a client's configuration: the section with the servers, and the server's name. */
export interface EntryPlace {
  /** The keys that lead to the section. */
  readonly section: readonly string[];
  readonly name: string;
  /** The section is a list of entries with a `name`, instead of an object by name. */
  readonly isList?: boolean;
}

/** Reads and changes one entry of a text, and keeps the rest exactly as written. */
export interface ConfigEditor {
  /** Returns the entry; `undefined` if there is none. @throws UnreadableText */
  get(text: string, place: EntryPlace): unknown;
  /** Returns the text with the entry added or replaced. @throws UnreadableText, UneditableText */
  set(text: string, place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
  /** Returns the text without the entry. @throws UnreadableText, UneditableText */
  remove(text: string, place: EntryPlace): string;
  /** Returns the entry as a person would paste it. */
  show(place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
}

/** The text isn't valid in its format; `line` says where. */
export class UnreadableText extends Error {
  override readonly name = 'UnreadableText';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** The text is valid, but the entry can't be changed without changing other parts of it. */
export class UneditableText extends Error {
  override readonly name = 'UneditableText';
}

/** Returns the line number of an offset, from 1. */
export const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** Returns the line ending that a text uses. */
export const lineEndOf = (text: string): '\r\n' | '\n' => (text.includes('\r\n') ? '\r\n' : '\n');

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

/** A planned change of a client's file. */
export type FileChange =
  | { readonly kind: 'none'; readonly why: string }
  | { readonly kind: 'write'; readonly after: string; readonly backUp: boolean }
  | { readonly kind: 'remove' };

export interface FileTexts {
  /** `undefined` if there is no file. */
  readonly current: string | undefined;
  /** The file before this server was first added. */
  readonly backup: string | undefined;
}

interface PlanOptions {
  readonly editor: ConfigEditor;
  readonly place: EntryPlace;
}

/** Plans adding the server; keeps what a person added to its entry, and earlier settings. */
export function planSetup(
  { current, backup }: FileTexts,
  { editor, place, entry }: PlanOptions & { entry: Readonly<Record<string, unknown>> },
): FileChange {
  const present = editor.get(current ?? '', place);
  const merged = mergeEntries(present, entry);
  if (isDeepStrictEqual(structuredClone(present), merged))
    return { kind: 'none', why: 'The server is already configured.' };
  const after = editor.set(current ?? '', place, merged);
  // The first backup is the file without this server; a second one would overwrite it.
  const backUp = current !== undefined && (present === undefined || backup === undefined);
  return { kind: 'write', after, backUp };
}

/**
 * Plans removing the server: restores the backup if nothing else has changed since, otherwise removes only the entry. A backup with this
 * server in it was made when it was added under another name.
 */
export function planUndo({ current, backup }: FileTexts, { editor, place }: PlanOptions): FileChange {
  if (current === undefined) return { kind: 'none', why: 'The file does not exist.' };
  const present = editor.get(current, place);
  if (!isRecord(present)) return { kind: 'none', why: 'The server is not configured there.' };
  const saved = backup === undefined ? undefined : editor.get(backup, place);
  const before = isThisServer(saved) ? undefined : backup;
  const old = before === undefined ? undefined : saved;
  if (editor.set(before ?? '', place, present) === current) {
    if (before === undefined) return { kind: 'remove' };
    return { kind: 'write', after: before, backUp: false };
  }
  const after = isRecord(old) ? editor.set(current, place, old) : editor.remove(current, place);
  return { kind: 'write', after, backUp: false };
}

/** Whether an entry starts this server, from a clone or a package. */
const isThisServer = (entry: unknown): boolean => JSON.stringify(entry ?? '').includes('dstack-mcp');

/** Keeps what only the present entry has, for example earlier environment variables, at any depth. */
function mergeEntries(present: unknown, entry: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (!isRecord(present)) return structuredClone(entry);
  const merged: Record<string, unknown> = structuredClone({ ...present, ...entry });
  for (const [name, value] of Object.entries(entry))
    if (isRecord(value)) merged[name] = mergeEntries(present[name], value);
  return merged;
}

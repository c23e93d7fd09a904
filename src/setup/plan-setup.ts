import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../core/values.ts';
import type { ConfigEditor, EntryPlace } from './config-editor.ts';

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

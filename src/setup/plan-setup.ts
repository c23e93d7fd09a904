import { isDeepStrictEqual } from 'node:util';
import { isSection } from './config-editor.ts';
import type { ConfigEditor, EntryPlace } from './config-editor.ts';

/** What would become of a client's file. */
export type FileChange =
  | { readonly kind: 'none'; readonly why: string }
  | { readonly kind: 'write'; readonly before: string | undefined; readonly after: string; readonly backUp: boolean }
  | { readonly kind: 'remove'; readonly before: string };

export interface FileTexts {
  /** `undefined` where there is no file. */
  readonly current: string | undefined;
  /** As the file was before this server was first entered. */
  readonly backup: string | undefined;
}

interface PlanOptions {
  readonly editor: ConfigEditor;
  readonly place: EntryPlace;
}

/** Enters the server; what a person added to its entry, and settings of before, stay. */
export function planSetup(
  { current, backup }: FileTexts,
  { editor, place, entry }: PlanOptions & { entry: Readonly<Record<string, unknown>> },
): FileChange {
  const present = editor.get(current ?? '', place);
  const merged = mergeEntries(present, entry);
  if (isDeepStrictEqual(structuredClone(present), merged)) return { kind: 'none', why: 'It is entered already.' };
  const after = editor.set(current ?? '', place, merged);
  // The first backup is of the file without this server: a second one would lose that.
  const backUp = current !== undefined && (present === undefined || backup === undefined);
  return { kind: 'write', before: current, after, backUp };
}

/**
 * Takes the server out again: the file of before where nothing else has changed since, else the entry alone, and what has changed
 * stays.
 */
export function planUndo({ current, backup }: FileTexts, { editor, place }: PlanOptions): FileChange {
  if (current === undefined) return { kind: 'none', why: 'There is no such file.' };
  const present = editor.get(current, place);
  if (!isSection(present)) return { kind: 'none', why: 'It is not entered there.' };
  const old = backup === undefined ? undefined : editor.get(backup, place);
  if (editor.set(backup ?? '', place, present) === current) {
    if (backup === undefined) return { kind: 'remove', before: current };
    return { kind: 'write', before: current, after: backup, backUp: false };
  }
  const after = isSection(old) ? editor.set(current, place, old) : editor.remove(current, place);
  return { kind: 'write', before: current, after, backUp: false };
}

function mergeEntries(present: unknown, entry: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (!isSection(present)) return structuredClone(entry);
  const merged: Record<string, unknown> = structuredClone({ ...present, ...entry });
  for (const [name, value] of Object.entries(entry)) {
    const old = present[name];
    // Variables: those of before are kept beside the new ones.
    if (isSection(value) && isSection(old)) merged[name] = structuredClone({ ...old, ...value });
  }
  return merged;
}

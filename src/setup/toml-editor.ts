import { isDeepStrictEqual } from 'node:util';
import { TomlError, parse, stringify } from 'smol-toml';
import { isRecord } from '../core/is-record.ts';
import { UneditableText, UnreadableText, lineEndOf } from './config-editor.ts';
import type { ConfigEditor, EntryPlace } from './config-editor.ts';

/**
 * Edits TOML by whole tables, so that everything else stays exactly as written. The result is parsed again and must differ only in the
 * entry; a file written in another way (inline tables, dotted keys) is left to the user.
 */
export const tomlEditor: ConfigEditor = {
  get: (text, { key, name }) => sectionOf(read(text), key)?.[name],
  set: (text, place, entry) => replace(text, place, entry),
  remove: (text, place) => replace(text, place, undefined),
  show: ({ key, name }, entry) => stringify({ [key]: { [name]: entry } }),
};

function read(text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof TomlError) throw new UnreadableText(error.line, error.message.split('\n')[0] ?? '');
    throw error;
  }
}

function sectionOf(
  document: Readonly<Record<string, unknown>>,
  key: string,
): Readonly<Record<string, unknown>> | undefined {
  const section = document[key];
  if (section === undefined || isRecord(section)) return section;
  throw new UneditableText(`${key} is not a table`);
}

function replace(text: string, place: EntryPlace, entry: Readonly<Record<string, unknown>> | undefined): string {
  const { [place.name]: _old, ...others } = sectionOf(read(text), place.key) ?? {};
  const wanted = {
    ...read(text),
    [place.key]: entry === undefined ? others : { ...others, [place.name]: entry },
  };
  const lineEnd = lineEndOf(text);
  const block = entry === undefined ? [] : tomlEditor.show(place, entry).trimEnd().split('\n');
  const lines = text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
  const result = `${spliceTables(lines, place, block).join(lineEnd)}${lineEnd}`;
  if (!isSame(result, wanted, place))
    throw new UneditableText('its tables are written in a way that this command cannot edit');
  return result;
}

/** Returns the lines with the entry's tables replaced in place, or appended. */
function spliceTables(lines: readonly string[], place: EntryPlace, block: readonly string[]): string[] {
  const owned = lines.map(() => false);
  let inEntry = false;
  for (const [at, line] of lines.entries()) {
    if (/^\s*\[/.test(line)) inEntry = isHeaderOf(line, place);
    owned[at] = inEntry;
  }
  const first = owned.indexOf(true);
  if (first < 0) return block.length === 0 ? [...lines] : [...lines, ...(lines.length === 0 ? [] : ['']), ...block];
  // Blank lines and comments before the next header belong to what follows.
  for (let at = lines.length - 1; at > first; at -= 1) {
    if (owned[at] === true && owned[at + 1] !== true && /^\s*(#.*)?$/.test(lines[at] ?? '')) owned[at] = false;
  }
  const before = lines.slice(0, first);
  const after = lines.slice(first).filter((_, index) => owned[first + index] !== true);
  return [...before, ...block, ...after];
}

function isHeaderOf(line: string, { key, name }: EntryPlace): boolean {
  const header = /^\s*\[\s*([^[\]]+?)\s*\]\s*(#.*)?$/.exec(line)?.[1];
  const names = header?.split('.').map((part) => part.trim().replace(/^(["'])(.*)\1$/, '$2')) ?? [];
  return names[0] === key && names[1] === name;
}

function isSame(text: string, wanted: Readonly<Record<string, unknown>>, { key }: EntryPlace): boolean {
  try {
    const found = parse(text);
    // A section without entries equals no section. Cloned, because the parser's objects have no prototype.
    const settle = (document: Readonly<Record<string, unknown>>): unknown =>
      structuredClone({ ...document, [key]: document[key] ?? {} });
    return isDeepStrictEqual(settle(found), settle(wanted));
  } catch {
    return false;
  }
}

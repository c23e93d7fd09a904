import { isDeepStrictEqual } from 'node:util';
import { TomlError, parse, stringify } from 'smol-toml';
import { isRecord } from '../core/values.ts';
import { lineEndOf, UneditableText, UnreadableText } from './client-file.ts';
import type { ConfigEditor, EntryPlace } from './client-file.ts';

type Entry = Readonly<Record<string, unknown>>;

/**
 * Edits TOML by whole tables, so that everything else stays exactly as written. The result is parsed again and must differ only in the
 * entry; a file written in another way (inline tables, dotted keys) is left to the user.
 */
export const tomlEditor: ConfigEditor = {
  get: (text, place) => entryIn(sectionOf(read(text), place), place),
  set: (text, place, entry) => replace(text, place, entry),
  remove: (text, place) => replace(text, place, undefined),
  show: (place, entry) => stringify({ [keyOf(place)]: place.isList === true ? [entry] : { [place.name]: entry } }),
};

const keyOf = ({ section }: EntryPlace): string => section[0] ?? '';

function read(text: string): Entry {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof TomlError) throw new UnreadableText(error.line, error.message.split('\n')[0] ?? '');
    throw error;
  }
}

function sectionOf(document: Entry, place: EntryPlace): Entry | readonly unknown[] {
  const section = document[keyOf(place)] ?? (place.isList === true ? [] : {});
  if (place.isList === true && Array.isArray(section)) return section;
  if (place.isList !== true && isRecord(section)) return section;
  throw new UneditableText(`${keyOf(place)} is not a ${place.isList === true ? 'list of tables' : 'table'}`);
}

const isNamed = (entry: unknown, name: string): boolean => isRecord(entry) && entry['name'] === name;

function entryIn(section: Entry | readonly unknown[], { name }: EntryPlace): unknown {
  return isRecord(section) ? section[name] : section.find((entry) => isNamed(entry, name));
}

/** Returns the section with another entry, or without it. */
function withEntry(section: Entry | readonly unknown[], name: string, entry: Entry | undefined): unknown {
  if (isRecord(section)) {
    const { [name]: _old, ...others } = section;
    return entry === undefined ? others : { ...others, [name]: entry };
  }
  const at = section.findIndex((one) => isNamed(one, name));
  const added = entry === undefined ? [] : [entry];
  return at < 0 ? [...section, ...added] : section.toSpliced(at, 1, ...added);
}

function replace(text: string, place: EntryPlace, entry: Entry | undefined): string {
  const document = read(text);
  const section = sectionOf(document, place);
  const wanted = { ...document, [keyOf(place)]: withEntry(section, place.name, entry) };
  const lineEnd = lineEndOf(text);
  const block = entry === undefined ? [] : tomlEditor.show(place, entry).trimEnd().split('\n');
  const lines = text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
  const isOwned = Array.isArray(section) ? inElement(section, place) : inTables(place);
  const result = `${spliceTables(lines, isOwned, block).join(lineEnd)}${lineEnd}`;
  if (!isSame(result, wanted, place))
    throw new UneditableText('its tables are written in a way that this command cannot edit');
  return result;
}

/** Returns whether the tables of a header belong to the entry. Headers are asked about in the order of the file. */
type IsOwned = (header: Header) => boolean;

/** Returns the lines with the entry's tables replaced in place, or appended. */
function spliceTables(lines: readonly string[], isOwned: IsOwned, block: readonly string[]): string[] {
  const owned = lines.map(() => false);
  let inEntry = false;
  for (const [at, line] of lines.entries()) {
    if (/^\s*\[/.test(line)) inEntry = isOwned(readHeader(line));
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

interface Header {
  readonly names: readonly string[];
  /** It starts an element of a list: `[[name]]`. */
  readonly isElement: boolean;
}

function readHeader(line: string): Header {
  const inner = /^\s*\[\s*([^[\]]+?)\s*\]\s*(#.*)?$/.exec(line)?.[1];
  const element = /^\s*\[\[\s*([^[\]]+?)\s*\]\]\s*(#.*)?$/.exec(line)?.[1];
  const names = (inner ?? element)?.split('.').map((part) => part.trim().replace(/^(["'])(.*)\1$/, '$2')) ?? [];
  return { names, isElement: element !== undefined };
}

/** `[key.name]` and the tables below it. */
const inTables =
  (place: EntryPlace): IsOwned =>
  ({ names, isElement }) =>
    !isElement && names[0] === keyOf(place) && names[1] === place.name;

/** The element `[[key]]` with the name, and the tables below it. */
function inElement(section: readonly unknown[], place: EntryPlace): IsOwned {
  const wanted = section.findIndex((entry) => isNamed(entry, place.name));
  let index = -1;
  return ({ names, isElement }) => {
    if (names[0] !== keyOf(place)) return false;
    if (isElement && names.length === 1) index += 1;
    return index === wanted && wanted >= 0;
  };
}

function isSame(text: string, wanted: Entry, place: EntryPlace): boolean {
  try {
    const found = parse(text);
    const empty = place.isList === true ? [] : {};
    // A section without entries equals no section. Cloned, because the parser's objects have no prototype.
    const settle = (document: Entry): unknown =>
      structuredClone({ ...document, [keyOf(place)]: document[keyOf(place)] ?? empty });
    return isDeepStrictEqual(settle(found), settle(wanted));
  } catch {
    return false;
  }
}

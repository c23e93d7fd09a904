import { applyEdits, findNodeAtLocation, getNodeValue, modify, parseTree, printParseErrorCode } from 'jsonc-parser';
import type { Edit, Node, ParseError } from 'jsonc-parser';
import { lineEndOf, lineOf, UnreadableText } from './client-file.ts';
import type { ConfigEditor, EntryPlace } from './client-file.ts';

/**
 * Edits JSON, with comments and trailing commas if the client reads them. The library's own formatting would also rewrite the lines
 * around the entry.
 */
export function createJsonEditor({ comments }: { comments: boolean }): ConfigEditor {
  const read = (text: string, { section: [key = ''] }: EntryPlace): Node => {
    const errors: ParseError[] = [];
    const root = parseTree(text, errors, { disallowComments: !comments, allowTrailingComma: comments });
    const [error] = errors;
    if (error !== undefined)
      throw new UnreadableText(lineOf(text, error.offset), explain(printParseErrorCode(error.error)));
    if (root?.type !== 'object') throw new UnreadableText(1, 'it is not an object');
    const section = findNodeAtLocation(root, [key]);
    if (section !== undefined && section.type !== 'object')
      throw new UnreadableText(lineOf(text, section.offset), `${key} is not an object`);
    return root;
  };
  return {
    get(text, place) {
      if (text.trim() === '') return undefined;
      const node = findNodeAtLocation(read(text, place), [...place.section, place.name]);
      const value: unknown = node === undefined ? undefined : getNodeValue(node);
      return value;
    },
    set(text, place, entry) {
      const whole = text.trim() === '' ? `{}${lineEndOf(text)}` : text;
      return applyEdits(whole, insert(whole, { root: read(whole, place), place, entry }));
    },
    remove: (text, place) =>
      findNodeAtLocation(read(text, place), [...place.section, place.name]) === undefined
        ? text
        : applyEdits(text, modify(text, [...place.section, place.name], undefined, {})),
    show: ({ section: [key = ''], name }, entry) => JSON.stringify({ [key]: { [name]: entry } }, undefined, 2),
  };
}

interface Insertion {
  readonly root: Node;
  readonly place: EntryPlace;
  readonly entry: Readonly<Record<string, unknown>>;
}

function insert(
  text: string,
  {
    root,
    place: {
      section: [key = ''],
      name,
    },
    entry,
  }: Insertion,
): Edit[] {
  const indent = /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
  const lineEnd = lineEndOf(text);
  const write = (value: unknown, depth: number): string =>
    JSON.stringify(value, undefined, indent).replaceAll('\n', `${lineEnd}${indent.repeat(depth)}`);
  const present = findNodeAtLocation(root, [key, name]);
  if (present !== undefined) return [{ offset: present.offset, length: present.length, content: write(entry, 2) }];
  const section = findNodeAtLocation(root, [key]);
  const [parent, depth, property] =
    section === undefined
      ? ([root, 1, `"${key}": ${write({ [name]: entry }, 1)}`] as const)
      : ([section, 2, `"${name}": ${write(entry, 2)}`] as const);
  const before = `${lineEnd}${indent.repeat(depth)}`;
  const last = parent.children?.at(-1);
  if (last !== undefined) return appendTo(text, last.offset + last.length, before + property);
  const inside = text.slice(parent.offset + 1, parent.offset + parent.length - 1).trimEnd();
  const end = parent.offset + parent.length - 1;
  const at = parent.offset + 1 + inside.length;
  return [{ offset: at, length: end - at, content: `${before}${property}${lineEnd}${indent.repeat(depth - 1)}` }];
}

/** Inserts a property after the value that ends at an offset and after the comment on its line. */
function appendTo(text: string, offset: number, property: string): Edit[] {
  const rest = /^[^\r\n]*/.exec(text.slice(offset))?.[0] ?? '';
  const [tail, comma] = /^(\s*,)?\s*(?:\/\/.*|\/\*.*\*\/\s*)?$/.exec(rest) ?? [''];
  if (comma !== undefined) return [{ offset: offset + tail.length, length: 0, content: `${property},` }];
  return [
    { offset, length: 0, content: ',' },
    { offset: offset + tail.trimEnd().length, length: 0, content: property },
  ];
}

const explain = (code: string): string =>
  code === 'InvalidCommentToken'
    ? 'comments are not allowed in this file: the client itself cannot read them'
    : code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();

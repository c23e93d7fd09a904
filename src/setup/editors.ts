import { applyEdits, findNodeAtLocation, getNodeValue, modify, parseTree, printParseErrorCode } from 'jsonc-parser';
import type { Edit, Node as JsonNode, ParseError } from 'jsonc-parser';
import { isMap, isScalar, isSeq, parseDocument, stringify, visit } from 'yaml';
import type { Document, Node as YamlNode } from 'yaml';
import { writeAsIn } from '../configuration/configuration-text.ts';
import { UnreadableText, lineEndOf, lineOf } from './client-file.ts';
import type { ConfigEditor, EntryPlace } from './client-file.ts';
import type { Format } from './clients.ts';
import { tomlEditor } from './toml-editor.ts';

/**
 * Edits JSON, with comments and trailing commas if the client reads them. The library's own formatting would also rewrite the lines
 * around the entry.
 */
function createJsonEditor({ comments }: { comments: boolean }): ConfigEditor {
  const read = (text: string, { section: [key = ''] }: EntryPlace): JsonNode => {
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
  readonly root: JsonNode;
  readonly place: EntryPlace;
  readonly entry: Readonly<Record<string, unknown>>;
}

function insert(text: string, { root, place, entry }: Insertion): Edit[] {
  const [key = ''] = place.section;
  const { name } = place;
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

/** Edits YAML; keeps comments, order and quotes. */
const yamlEditor: ConfigEditor = {
  get(text, place) {
    const document = readYaml(text, place);
    const value: unknown = document.toJS();
    return pathOf(document, place)?.reduce<unknown>(
      (so, key) => (typeof so === 'object' && so !== null ? Reflect.get(so, key) : undefined),
      value,
    );
  },
  set(text, place, entry) {
    const document = readYaml(text, place);
    const path = pathOf(document, place);
    if (path !== undefined) document.setIn(path, createEntry(document, entry));
    else if (document.hasIn(place.section)) document.addIn(place.section, createEntry(document, entry));
    else document.setIn(place.section, createEntry(document, [entry]));
    return writeAsIn(text, document);
  },
  remove(text, place) {
    const document = readYaml(text, place);
    const path = pathOf(document, place);
    if (path !== undefined) document.deleteIn(path);
    return writeAsIn(text, document);
  },
  show: ({ section, name, isList }, entry) =>
    stringify(
      section.reduceRight<unknown>((inner, key) => ({ [key]: inner }), isList === true ? [entry] : { [name]: entry }),
      { lineWidth: 0, compat: 'yaml-1.1' },
    ),
};

/** Strings that YAML 1.1 reads as a boolean. Clients in Python do, and then refuse the whole file. */
const BOOLEAN_IN_YAML_1_1 = /^(?:y|yes|n|no|on|off)$/i;

/** Creates the node of an entry. Only its own strings are quoted: the other lines of the file are left alone. */
function createEntry(document: Document.Parsed, entry: unknown): YamlNode {
  const node = document.createNode(entry);
  visit(node, {
    Scalar(_key, scalar) {
      if (typeof scalar.value === 'string' && BOOLEAN_IN_YAML_1_1.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return node;
}

/** Returns the path of the entry; undefined if a list doesn't contain it. */
function pathOf(document: Document.Parsed, { section, name, isList }: EntryPlace): (string | number)[] | undefined {
  if (isList !== true) return [...section, name];
  const list = document.getIn(section);
  const index = isSeq(list) ? list.items.findIndex((item) => isMap(item) && item.get('name') === name) : -1;
  return index < 0 ? undefined : [...section, String(index)];
}

function readYaml(text: string, { section, isList }: EntryPlace): Document.Parsed {
  const document = parseDocument(text, { logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) throw new UnreadableText(lineOf(text, error.pos[0]), firstLine(error.message));
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return document;
  if (!isMap(contents)) throw new UnreadableText(1, 'it is not a mapping');
  for (const depth of section.keys()) {
    const path = section.slice(0, depth + 1);
    const node: unknown = document.getIn(path, true);
    const isListHere = isList === true && path.length === section.length;
    // `extensions:` without a value is an empty section.
    if (isScalar(node) && node.value === null) document.deleteIn(path);
    else if (node !== undefined && !(isListHere ? isSeq(node) : isMap(node)))
      throw new UnreadableText(1, `${path.join('.')} is not a ${isListHere ? 'list' : 'mapping'}`);
  }
  return document;
}

const firstLine = (text: string): string => text.split('\n')[0]?.replace(/ at line \d+.*$/, '') ?? text;

/** The libraries for JSON and YAML keep what isn't edited; that for TOML doesn't. */
export const EDITORS: Readonly<Record<Format, ConfigEditor>> = {
  json: createJsonEditor({ comments: false }),
  jsonc: createJsonEditor({ comments: true }),
  yaml: yamlEditor,
  toml: tomlEditor,
};

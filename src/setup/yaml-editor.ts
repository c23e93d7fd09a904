import { isMap, isScalar, isSeq, parseDocument, stringify, visit } from 'yaml';
import type { Document, Node } from 'yaml';
import { lineEndOf, lineOf, UnreadableText } from './client-file.ts';
import type { ConfigEditor, EntryPlace } from './client-file.ts';

/** Edits YAML; keeps comments, order and quotes. */
export const yamlEditor: ConfigEditor = {
  get(text, place) {
    const document = read(text, place);
    const value: unknown = document.toJS();
    return pathOf(document, place)?.reduce<unknown>(
      (so, key) => (typeof so === 'object' && so !== null ? Reflect.get(so, key) : undefined),
      value,
    );
  },
  set(text, place, entry) {
    const document = read(text, place);
    const path = pathOf(document, place);
    if (path !== undefined) document.setIn(path, createEntry(document, entry));
    else if (document.hasIn(place.section)) document.addIn(place.section, createEntry(document, entry));
    else document.setIn(place.section, createEntry(document, [entry]));
    return write(document, text);
  },
  remove(text, place) {
    const document = read(text, place);
    const path = pathOf(document, place);
    if (path !== undefined) document.deleteIn(path);
    return write(document, text);
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
function createEntry(document: Document.Parsed, entry: unknown): Node {
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

function read(text: string, { section, isList }: EntryPlace): Document.Parsed {
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

function write(document: Document.Parsed, text: string): string {
  // In the style of the file, as far as it can be detected.
  const written = document.toString({
    lineWidth: 0,
    indentSeq: !/^[^\s#-][^\n]*:[ \t]*\r?\n- /m.test(text),
    flowCollectionPadding: !/[[{][^\s\]}]/.test(text),
  });
  return written.replaceAll(/\r?\n/g, lineEndOf(text));
}

const firstLine = (text: string): string => text.split('\n')[0]?.replace(/ at line \d+.*$/, '') ?? text;

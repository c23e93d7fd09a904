import { isMap, isScalar, parseDocument, stringify } from 'yaml';
import type { Document } from 'yaml';
import { UnreadableText, lineEndOf, lineOf } from './config-editor.ts';
import type { ConfigEditor, EntryPlace } from './config-editor.ts';

/** Edits YAML; keeps comments, order and quotes. */
export const yamlEditor: ConfigEditor = {
  get(text, { key, name }) {
    const value: unknown = read(text, { key, name }).toJS();
    const section = typeof value === 'object' && value !== null && key in value ? Reflect.get(value, key) : undefined;
    return typeof section === 'object' && section !== null ? Reflect.get(section, name) : undefined;
  },
  set(text, { key, name }, entry) {
    const document = read(text, { key, name });
    document.setIn([key, name], document.createNode(entry));
    return write(document, text);
  },
  remove(text, { key, name }) {
    const document = read(text, { key, name });
    document.deleteIn([key, name]);
    return write(document, text);
  },
  show: ({ key, name }, entry) => stringify({ [key]: { [name]: entry } }, { lineWidth: 0 }),
};

function read(text: string, { key }: EntryPlace): Document.Parsed {
  const document = parseDocument(text, { logLevel: 'error' });
  const [error] = document.errors;
  if (error !== undefined) throw new UnreadableText(lineOf(text, error.pos[0]), firstLine(error.message));
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return document;
  if (!isMap(contents)) throw new UnreadableText(1, 'it is not a mapping');
  const section: unknown = contents.get(key, true);
  // `extensions:` without a value is an empty section.
  if (isScalar(section) && section.value === null) document.delete(key);
  else if (section !== undefined && !isMap(section)) throw new UnreadableText(1, `${key} is not a mapping`);
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

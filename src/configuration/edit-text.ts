import { createTwoFilesPatch } from 'diff';
import { isCollection, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { ToolError } from '../core/errors.ts';

/** One change of a property: its dotted path, and the new value; without one the property is removed. */
export interface Edit {
  readonly path: string;
  readonly value?: unknown;
}

/**
 * Changes properties in a text and keeps its comments, its order and its way of writing.
 * @throws ToolError `invalid-file` for a text that isn't YAML, `invalid-input` for a path that leads nowhere.
 */
export function editText(text: string, edits: readonly Edit[]): string {
  const document = parseDocument(text, { version: '1.1', uniqueKeys: false, logLevel: 'error' });
  if (document.errors[0] !== undefined)
    throw new ToolError(
      'invalid-file',
      `The file isn't valid YAML, so single properties can't be changed: ${document.errors[0].message}`,
      'Give the whole `text` instead.',
    );
  for (const edit of edits) applyEdit(document, edit);
  const edited = document.toString({
    lineWidth: 0,
    indentSeq: !/^[^\s#-][^\n]*:[ \t]*\r?\n- /m.test(text),
    flowCollectionPadding: !/[[{][^\s\]}]/.test(text),
  });
  return text.includes('\r\n') ? edited.replaceAll(/\r?\n/g, '\r\n') : edited;
}

function applyEdit(document: Document.Parsed, { path, value }: Edit): void {
  const names = path.split('.').filter((name) => name !== '');
  if (names.length === 0) throw leadsNowhere(path, 'it is empty');
  const steps: (string | number)[] = [];
  let node: unknown = document.contents;
  for (const [at, name] of names.entries()) {
    const step = isSeq(node) && /^\d+$/.test(name) ? Number(name) : name;
    const isLast = at === names.length - 1;
    if (isSeq(node) && (typeof step === 'string' || step > node.items.length))
      throw leadsNowhere(path, `\`${name}\` is no item of the list`);
    steps.push(step);
    node = isCollection(node) ? node.get(step, true) : undefined;
    // `env:` with nothing behind it.
    if (!isLast && value !== undefined && isScalar(node) && node.value === null) {
      document.setIn(steps, document.createNode({}));
      node = document.getIn(steps, true);
    }
    if (!isLast && node !== undefined && node !== null && !isMap(node) && !isSeq(node))
      throw leadsNowhere(path, `\`${steps.join('.')}\` holds a plain value, or an alias`);
  }
  if (value === undefined) {
    if (!document.hasIn(steps)) throw leadsNowhere(path, 'it is not in the file');
    document.deleteIn(steps);
  } else if (isScalar(node) && (typeof value !== 'object' || value === null)) {
    // The node stays, and so does the comment behind it.
    node.value = value;
  } else {
    document.setIn(steps, document.createNode(value));
  }
}

/** The unified diff of two versions of a file. */
export function diffTexts(file: string, before: string | undefined, after: string): string {
  return createTwoFilesPatch(before === undefined ? '/dev/null' : file, file, before ?? '', after, '', '', {
    context: 3,
  })
    .split('\n')
    .filter((line) => !/^=+$/.test(line))
    .join('\n');
}

const leadsNowhere = (path: string, why: string): ToolError =>
  new ToolError(
    'invalid-input',
    `The path ${JSON.stringify(path)} can't be changed: ${why}. Nothing was written.`,
    'Name properties with dots and items by number: resources.gpu, commands.0.',
  );

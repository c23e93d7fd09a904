import { createTwoFilesPatch } from 'diff';
import { isCollection, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { ToolError } from '../core/errors.ts';
import { readFloatsAsDstack } from './parse-text.ts';

/** A change to one property: its dotted path, and its new value or name. Without either, the property is removed. */
export interface Edit {
  readonly path: string;
  readonly value?: unknown;
  readonly rename?: string | undefined;
}

/**
 * Changes properties in a text and keeps its comments, order and formatting.
 * @throws ToolError `invalid-file` for a text that isn't YAML, `invalid-input` for a path that can't be resolved.
 */
export function editText(text: string, edits: readonly Edit[]): string {
  const document = parseDocument(text, {
    version: '1.1',
    customTags: readFloatsAsDstack,
    uniqueKeys: false,
    logLevel: 'error',
  });
  if (document.errors[0] !== undefined)
    throw new ToolError(
      'invalid-file',
      `The file isn't valid YAML, so single properties can't be changed: ${document.errors[0].message}`,
      'Pass the whole `text` instead.',
    );
  for (const edit of edits) applyEdit(document, edit);
  const edited = document.toString({
    lineWidth: 0,
    indentSeq: !/^[^\s#-][^\n]*:[ \t]*\r?\n- /m.test(text),
    flowCollectionPadding: !/[[{][^\s\]}]/.test(text),
  });
  return text.includes('\r\n') ? edited.replaceAll(/\r?\n/g, '\r\n') : edited;
}

function applyEdit(document: Document.Parsed, { path, value, rename }: Edit): void {
  const names = path.split('.').filter((name) => name !== '');
  if (names.length === 0) throw invalidPath(path, 'it is empty');
  const steps: (string | number)[] = [];
  let node: unknown = document.contents;
  for (const [at, name] of names.entries()) {
    const step = isSeq(node) && /^\d+$/.test(name) ? Number(name) : name;
    const isLast = at === names.length - 1;
    if (isSeq(node) && (typeof step === 'string' || step > node.items.length))
      throw invalidPath(path, `\`${name}\` isn't an item of the list`);
    steps.push(step);
    node = isCollection(node) ? node.get(step, true) : undefined;
    // A property that is missing or empty, such as `env:`. The library would create an ordered map in its place (`!!omap`).
    const isBlank = node === undefined || (isScalar(node) && node.value === null);
    if (!isLast && value !== undefined && isBlank) {
      document.setIn(steps, document.createNode({}));
      node = document.getIn(steps, true);
    }
    if (!isLast && node !== undefined && node !== null && !isMap(node) && !isSeq(node))
      throw invalidPath(path, `\`${steps.join('.')}\` is a plain value or an alias`);
  }
  if (rename !== undefined) {
    renameProperty(document, steps, rename);
    // Its new value, if there is one, replaces that of the new name.
    if (value !== undefined) applyEdit(document, { path: [...names.slice(0, -1), rename].join('.'), value });
  } else if (value === undefined) {
    if (!document.hasIn(steps)) throw invalidPath(path, 'it is not in the file');
    document.deleteIn(steps);
  } else if (isScalar(node) && (typeof value !== 'object' || value === null)) {
    // Keep the node, and with it the comment after it.
    node.value = value;
  } else {
    document.setIn(steps, document.createNode(value));
  }
}

/** Renames a property in its place: its value and its comments stay. */
function renameProperty(document: Document.Parsed, steps: readonly (string | number)[], rename: string): void {
  const path = steps.join('.');
  const parent: unknown = steps.length === 1 ? document.contents : document.getIn(steps.slice(0, -1), true);
  if (!isMap(parent) || !parent.has(steps.at(-1))) throw invalidPath(path, 'it is not in the file');
  if (parent.has(rename)) throw invalidPath(path, `\`${rename}\` is in the file already`);
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === steps.at(-1));
  if (pair !== undefined && isScalar(pair.key)) pair.key.value = rename;
}

/** Returns the unified diff of two versions of a file. */
export function diffTexts(file: string, before: string | undefined, after: string): string {
  return createTwoFilesPatch(before === undefined ? '/dev/null' : file, file, before ?? '', after, '', '', {
    context: 3,
  })
    .split('\n')
    .filter((line) => !/^=+$/.test(line))
    .join('\n');
}

const invalidPath = (path: string, why: string): ToolError =>
  new ToolError(
    'invalid-input',
    `The path ${JSON.stringify(path)} can't be changed: ${why}. Nothing was written.`,
    'Separate properties with dots and name list items by number: resources.gpu, commands.0.',
  );

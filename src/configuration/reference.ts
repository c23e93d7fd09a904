import { isRecord, joinOr, nearestNames } from '../core/values.ts';
import type { Transcript } from '../core/transcript.ts';
import { ownText } from '../core/transcript.ts';
import { ToolError } from '../core/errors.ts';
import { isRunType } from '../core/dstack-terms.ts';
import { exampleFor } from './examples.ts';
import { describeValues, descriptionOf, referenceLink } from './schema-index.ts';
import type { Place, Schema, SchemaIndex } from './schema-index.ts';

/** About 2,000 tokens. */
const MAX_CHARS = 7_500;

/** Returns the types that have a schema: dstack's configuration types, and profiles. */
export const typesOf = (index: SchemaIndex): readonly string[] => [...index.types, 'profiles'];

/** Describes a type or property, or lists the types. @throws ToolError `invalid-input` with the nearest names. */
export function describe(index: SchemaIndex, property: string | undefined): Transcript {
  if (property === undefined) return ownText(describeTypes(index));
  const text = describeProperty(index, property);
  if (text === undefined) throw unknownName(index, property);
  return ownText(text);
}

/** Returns the JSON schema of a type, with only the definitions that it uses. @throws ToolError `invalid-input` for an unknown type. */
export function formatSchema(index: SchemaIndex, type: string): Transcript {
  const root = index.root(type);
  if (root === undefined) throw unknownName(index, type);
  const needed = new Map<string, unknown>();
  collect(root, index.definitions, needed);
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $comment: `${type}, dstack ${index.version}`,
    ...Object.fromEntries(tidyEntries(root)),
    $defs: Object.fromEntries([...needed].map(([name, definition]) => [name, tidy(definition)])),
  };
  return ownText(JSON.stringify(schema));
}

function unknownName(index: SchemaIndex, wanted: string): ToolError {
  const near = nearestNames(wanted, describableNames(index));
  return new ToolError(
    'invalid-input',
    `The installed dstack (${index.version}) has no type or property ${JSON.stringify(wanted)}.`,
    near.length > 0 ? `Did you mean ${joinOr(near)}?` : `Types: ${typesOf(index).join(', ')}.`,
  );
}

function describeProperty(index: SchemaIndex, wanted: string): string | undefined {
  const [first = '', ...rest] = wanted
    .trim()
    .replace(/\[(?:n|\d*)\]/g, '')
    .split('.')
    .filter(Boolean);
  const types = typesOf(index);
  const isType = types.includes(first);
  const path = isType ? rest : [first, ...rest];
  const type = isType ? first : types.find((one) => index.find(one, path) !== undefined);
  const place = type === undefined ? undefined : index.find(type, path);
  if (type === undefined || place === undefined) return undefined;
  const head =
    path.length === 0 ? [`Type ${type} (dstack ${index.version})`] : describePlace(index, { type, path, place });
  const example = exampleFor(index, type, path);
  const tail = [
    ...(example === undefined ? [] : ['', 'Example:', example.trimEnd()]),
    '',
    `Reference: ${referenceLink(type, path)}`,
  ];
  return fit(head, listProperties(index, place), tail);
}

const propertyNames = (index: SchemaIndex, type: string): readonly string[] => [
  ...index.properties(index.root(type) ?? {}).keys(),
];

/** Lists the types with their properties; those that all types of runs have, once. */
function describeTypes(index: SchemaIndex): string {
  const namesOf = (type: string): readonly string[] => propertyNames(index, type).filter((name) => name !== 'type');
  const runs = index.types.filter(isRunType);
  const [first, ...others] = runs.map(namesOf);
  const common = new Set((first ?? []).filter((name) => others.every((names) => names.includes(name))));
  const lines = typesOf(index).map((type) => {
    const isRun = runs.includes(type);
    const names = namesOf(type).filter((name) => !isRun || !common.has(name));
    return `- ${type}: ${names.join(', ')}${isRun ? ', and those of every run' : ''}`;
  });
  return [
    `Types of dstack ${index.version}, with their properties:`,
    ...lines,
    ...(common.size === 0 ? [] : [`Every run (${runs.join(', ')}): ${[...common].join(', ')}`]),
  ].join('\n');
}

const describableNames = (index: SchemaIndex): readonly string[] =>
  index.types.flatMap((type) => [type, ...propertyNames(index, type).map((name) => `${type}.${name}`)]);

function describePlace(
  index: SchemaIndex,
  { type, path, place }: { type: string; path: readonly string[]; place: Place },
): string[] {
  const description = descriptionOf(place);
  return [
    `${[type, ...path].join('.')} (dstack ${index.version})`,
    `Takes: ${describeValues(index, place.schema)}`,
    place.required ? 'Required.' : /\bdefaults to\b/i.test(description) ? '' : `Default: ${showDefault(place)}`,
    description,
  ].filter((line) => line !== '');
}

function showDefault({ schema }: Place): string {
  const value = schema['default'];
  if (value === undefined || value === null) return 'none';
  const shown = JSON.stringify(value, (_key, inner: unknown) => inner ?? undefined);
  return shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
}

function listProperties(index: SchemaIndex, place: Place): string[] {
  return [...index.properties(place.schema)].map(([name, property]) => {
    const values = describeValues(index, property.schema);
    const shown = values.length > 90 ? `${values.slice(0, values.lastIndexOf(' ', 90))} …` : values;
    return `- ${name}${property.required ? ' (required)' : ''}: ${shown}. ${descriptionOf(property, true)}`.trimEnd();
  });
}

/** Shortens all lines of the list to the same width, until the whole text fits. */
function fit(head: readonly string[], list: readonly string[], tail: readonly string[]): string {
  const room = MAX_CHARS - [...head, ...tail].join('\n').length - 20;
  let width = 400;
  const shorten = (): string[] => list.map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
  while (width > 40 && shorten().join('\n').length > room) width -= 10;
  return [...head, ...(list.length === 0 ? [] : ['', 'Properties:', ...shorten()]), ...tail].join('\n');
}

const nameOf = (reference: string): string => reference.split('/').at(-1) ?? '';

function collect(node: unknown, definitions: Schema, needed: Map<string, unknown>): void {
  if (Array.isArray(node)) for (const item of node) collect(item, definitions, needed);
  if (!isRecord(node)) return;
  const reference = node['$ref'];
  if (typeof reference === 'string' && !needed.has(nameOf(reference))) {
    const target = definitions[nameOf(reference)];
    needed.set(nameOf(reference), target);
    collect(target, definitions, needed);
  }
  for (const [, value] of ownEntries(node)) collect(value, definitions, needed);
}

const ownEntries = (node: Schema): [string, unknown][] =>
  Object.entries(node).filter(([key]) => key !== '$defs' && key !== 'definitions');

function tidy(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(tidy);
  return isRecord(node) ? Object.fromEntries(tidyEntries(node)) : node;
}

/** Drops titles, which repeat the name (a property called `title` isn't a string), and points references to `$defs` for every pydantic version. */
function tidyEntries(node: Schema): [string, unknown][] {
  return ownEntries(node)
    .filter(([key, value]) => !(key === 'title' && typeof value === 'string'))
    .map(([key, value]) => [
      key,
      key === '$ref' && typeof value === 'string' ? `#/$defs/${nameOf(value)}` : tidy(value),
    ]);
}

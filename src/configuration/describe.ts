import { exampleFor } from './examples.ts';
import type { Place, SchemaIndex } from './schema-index.ts';
import { allowedValues, describeValues, descriptionOf, referenceLink } from './schema-words.ts';

/** About 2,000 tokens. */
const MAX_CHARS = 7_500;

/** The reference of a type (`task`) or a property (`task.resources.gpu`); undefined for what the installed dstack doesn't know. */
export function describeProperty(index: SchemaIndex, wanted: string): string | undefined {
  const [first = '', ...rest] = wanted
    .trim()
    .replace(/\[(?:n|\d*)\]/g, '')
    .split('.')
    .filter(Boolean);
  const types = [...index.types, 'profiles'];
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

/** The types that the installed dstack knows, each with the names of its properties. */
export function describeTypes(index: SchemaIndex): string {
  const lines = [...index.types, 'profiles'].map((type) => {
    const root = index.root(type);
    const names = root === undefined ? [] : [...index.properties(root).keys()];
    return `- ${type}: ${names.filter((name) => name !== 'type').join(', ')}`;
  });
  return [`Types of dstack ${index.version}, with their properties:`, ...lines].join('\n');
}

/** The names that can be described: types, and the properties of each. */
export function describableNames(index: SchemaIndex): string[] {
  return index.types.flatMap((type) => {
    const root = index.root(type);
    const names = root === undefined ? [] : [...index.properties(root).keys()];
    return [type, ...names.map((name) => `${type}.${name}`)];
  });
}

function describePlace(
  index: SchemaIndex,
  { type, path, place }: { type: string; path: readonly string[]; place: Place },
): string[] {
  const allowed = place.leaves.flatMap(allowedValues);
  return [
    `${[type, ...path].join('.')} (dstack ${index.version})`,
    `Takes: ${describeValues(index, place.schema)}`,
    place.required ? 'Required.' : `Default: ${showDefault(place)}`,
    ...(allowed.length > 0 ? [`Allowed values: ${allowed.join(', ')}`] : []),
    descriptionOf(place),
  ].filter((line) => line !== '');
}

function showDefault({ schema }: Place): string {
  const value = schema['default'];
  if (value === undefined || value === null) return 'none';
  const shown = JSON.stringify(value);
  return shown.length > 300 ? `${shown.slice(0, 300)}…` : shown;
}

function listProperties(index: SchemaIndex, place: Place): string[] {
  return [...index.properties(place.schema)].map(([name, property]) => {
    const values = describeValues(index, property.schema);
    const shown = values.length > 90 ? `${values.slice(0, 90)}…` : values;
    return `- ${name}${property.required ? ' (required)' : ''}: ${shown}. ${descriptionOf(property, true)}`.trimEnd();
  });
}

/** Shortens the lines of the list evenly, until all of it fits. */
function fit(head: readonly string[], list: readonly string[], tail: readonly string[]): string {
  const room = MAX_CHARS - [...head, ...tail].join('\n').length - 20;
  let width = 400;
  const shorten = (): string[] => list.map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
  while (width > 40 && shorten().join('\n').length > room) width -= 10;
  return [...head, ...(list.length === 0 ? [] : ['', 'Properties:', ...shorten()]), ...tail].join('\n');
}

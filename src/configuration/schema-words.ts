import { isRecord } from './schema-index.ts';
import type { Place, Schema, SchemaIndex } from './schema-index.ts';

/** What may stand at a place, in a few words: `integer 1 to 65535`, `one of spot, on-demand, auto`, `list of strings or mappings`. */
export function describeValues(index: SchemaIndex, schema: Schema): string {
  const leaves = index.leaves(schema);
  const allowed = leaves.flatMap(allowedValues);
  const others = leaves.filter((leaf) => allowedValues(leaf).length === 0).map((leaf) => describeLeaf(index, leaf));
  const words = [
    ...new Set([...(allowed.length > 0 ? [allowed.map((value) => `\`${value}\``).join(' | ')] : []), ...others]),
  ];
  return words.join(' or ') || 'anything';
}

/** The values that the schema lists for a leaf: those of an enumeration, or its constant. */
export function allowedValues(leaf: Schema): string[] {
  const listed = Array.isArray(leaf['enum']) ? leaf['enum'] : 'const' in leaf ? [leaf['const']] : [];
  return listed.filter((value) => typeof value === 'string' || typeof value === 'number').map(String);
}

function describeLeaf(index: SchemaIndex, leaf: Schema): string {
  if (leaf['type'] === 'array') {
    const items = isRecord(leaf['items']) ? describeValues(index, leaf['items']) : 'anything';
    return `list of ${items}`;
  }
  if (isRecord(leaf['properties']) || leaf['type'] === 'object') return 'mapping';
  const type = typeof leaf['type'] === 'string' ? leaf['type'] : 'value';
  const least = leaf['minimum'] ?? leaf['exclusiveMinimum'];
  const bounds = [
    ...(least === undefined ? [] : [`${leaf['minimum'] === undefined ? 'above' : 'from'} ${JSON.stringify(least)}`]),
    ...(leaf['maximum'] === undefined ? [] : [`up to ${JSON.stringify(leaf['maximum'])}`]),
    ...(leaf['pattern'] === undefined ? [] : [`matching ${JSON.stringify(leaf['pattern'])}`]),
  ];
  return [type, ...bounds].join(' ');
}

/** The property's description, on one line; its first sentence alone with `short`. */
export function descriptionOf({ schema, leaves }: Pick<Place, 'schema' | 'leaves'>, short = false): string {
  const own = schema['description'] ?? (leaves.length === 1 ? leaves[0]?.['description'] : undefined);
  // Docstrings of classes talk to dstack's developers.
  const text = typeof own === 'string' && !/^Attributes:|:class:/m.test(own) ? own.replace(/\s+/g, ' ').trim() : '';
  return short ? (/^.*?(?=\. |$)/.exec(text)?.[0] ?? text) : text;
}

/** The page of dstack's reference, at the property. */
export function referenceLink(type: string, path: readonly string[]): string {
  if (type === 'profiles') return 'https://dstack.ai/docs/reference/profiles.yml';
  const anchor = path.find((part) => !/^\d+$/.test(part));
  return `https://dstack.ai/docs/reference/dstack.yml/${type}${anchor === undefined ? '' : `#${anchor}`}`;
}

import { isRecord } from './schema-index.ts';
import type { Schema, SchemaIndex } from './schema-index.ts';

/** The JSON schema of one type, with the definitions that it leads to and no others; undefined for a type that dstack doesn't know. */
export function schemaOfType(index: SchemaIndex, type: string): Schema | undefined {
  const root = index.root(type);
  if (root === undefined) return undefined;
  const needed = new Map<string, unknown>();
  collect(root, index.definitions, needed);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $comment: `${type}, dstack ${index.version}`,
    ...Object.fromEntries(tidyEntries(root)),
    $defs: Object.fromEntries([...needed].map(([name, schema]) => [name, tidy(schema)])),
  };
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

/** Without titles, which repeat the name (a property of that name is no text), and with references into `$defs`, whatever pydantic it was. */
function tidyEntries(node: Schema): [string, unknown][] {
  return ownEntries(node)
    .filter(([key, value]) => !(key === 'title' && typeof value === 'string'))
    .map(([key, value]) => [
      key,
      key === '$ref' && typeof value === 'string' ? `#/$defs/${nameOf(value)}` : tidy(value),
    ]);
}

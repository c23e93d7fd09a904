import { isRecord } from '../core/values.ts';
import { allowedValues, describeValues, strings } from './schema-index.ts';
import type { Schema, SchemaIndex } from './schema-index.ts';

/** A difference between a configuration and the schema. Only dstack's parser decides whether it is a problem. */
export interface Deviation {
  readonly kind: 'unknown' | 'missing' | 'not-allowed' | 'wrong-shape';
  readonly path: readonly string[];
  /** Known property names, or allowed values. */
  readonly known: readonly string[];
  readonly expected: string;
}

/** Finds every property that is unknown, missing, or of the wrong shape, in one pass. */
export function findDeviations(
  index: SchemaIndex,
  type: string,
  value: Readonly<Record<string, unknown>>,
): readonly Deviation[] {
  const root = index.root(type);
  return root === undefined ? [] : inspect(index, root, { value, path: [] });
}

interface Node {
  readonly value: unknown;
  readonly path: readonly string[];
}

function inspect(index: SchemaIndex, schema: Schema, { value, path }: Node): Deviation[] {
  if (value === null || value === undefined) return [];
  const leaves = index.leaves(schema);
  if (isRecord(value)) return inspectMapping(index, schema, { value, path });
  const wrongShape = (): Deviation[] => [
    { kind: 'wrong-shape', path, known: [], expected: describeValues(index, schema) },
  ];
  if (Array.isArray(value)) {
    const lists = leaves.filter(({ type, items }) => type === 'array' || items !== undefined);
    if (lists.length === 0) return leaves.every(hasShape) ? wrongShape() : [];
    const items = lists.map((leaf) => leaf['items']).find(isRecord);
    return items === undefined
      ? []
      : value.flatMap((item: unknown, at) => inspect(index, items, { value: item, path: [...path, String(at)] }));
  }
  if (leaves.length > 0 && leaves.every(({ type }) => type === 'array' || type === 'object')) return wrongShape();
  const allowed = leaves.map(allowedValues);
  if (allowed.length === 0 || allowed.some((values) => values.length === 0)) return [];
  const known = allowed.flat();
  const wanted = typeof value === 'string' ? value.toLowerCase() : JSON.stringify(value);
  return known.some((one) => one.toLowerCase() === wanted)
    ? []
    : [{ kind: 'not-allowed', path, known, expected: describeValues(index, schema) }];
}

const hasShape = ({ type, enum: values }: Schema): boolean => typeof type === 'string' || Array.isArray(values);

function inspectMapping(
  index: SchemaIndex,
  schema: Schema,
  { value, path }: { value: Readonly<Record<string, unknown>>; path: readonly string[] },
): Deviation[] {
  const branch = index.branchFor(schema, value);
  if (branch === undefined) {
    const leaves = index.leaves(schema);
    const open = leaves.filter(({ type }) => type === 'object');
    if (open.length === 0)
      return leaves.every(hasShape)
        ? [{ kind: 'wrong-shape', path, known: [], expected: describeValues(index, schema) }]
        : [];
    const items = open.map((leaf) => leaf['additionalProperties']).find(isRecord);
    if (items === undefined) return [];
    return Object.entries(value).flatMap(([name, item]) =>
      inspect(index, items, { value: item, path: [...path, name] }),
    );
  }
  const properties = isRecord(branch['properties']) ? branch['properties'] : {};
  // A mapping with free keys (such as `env`) isn't checked against the names of one branch.
  const open =
    branch['additionalProperties'] !== false ||
    index.leaves(schema).some((leaf) => isRecord(leaf['additionalProperties']));
  const known = Object.keys(properties);
  const missing = strings(branch['required']).filter((name) => !Object.hasOwn(value, name));
  return [
    ...missing.map((name): Deviation => {
      const property = properties[name];
      const expected = isRecord(property) ? describeValues(index, property) : '';
      return { kind: 'missing', path: [...path, name], known, expected };
    }),
    ...Object.entries(value).flatMap(([name, item]): Deviation[] => {
      const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
      if (isRecord(property)) return inspect(index, property, { value: item, path: [...path, name] });
      return open ? [] : [{ kind: 'unknown', path: [...path, name], known, expected: '' }];
    }),
  ];
}

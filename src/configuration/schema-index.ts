import { ToolError } from '../core/errors.ts';
import { isRecord, joinOr } from '../core/values.ts';
import type { ConfigurationSchemas, Introspection } from '../dstack/warm/introspection.ts';

/**
 * dstack's JSON schema, walked by hand. A validator such as ajv reports every branch of a union that doesn't match. The questions here are
 * which branch the writer meant, what it allows, and where it is documented.
 */
export type Schema = Readonly<Record<string, unknown>>;

/** The part of the schema at a path. */
export interface Place {
  readonly schema: Schema;
  /** All alternatives, with references and unions resolved, without null. */
  readonly leaves: readonly Schema[];
  readonly required: boolean;
}

/** The configuration schema of the installed dstack, by type and property. */
export class SchemaIndex {
  readonly version: string;
  readonly types: readonly string[];
  /** Targets of references, by name. */
  readonly definitions: Schema;
  readonly #roots: ReadonlyMap<string, Schema>;

  constructor({ version, configuration, profiles }: ConfigurationSchemas) {
    this.version = version;
    this.definitions = { ...definitionsOf(profiles), ...definitionsOf(configuration) };
    const mapping = isRecord(configuration['discriminator']) ? configuration['discriminator']['mapping'] : undefined;
    const references = Object.entries(isRecord(mapping) ? mapping : {});
    this.types = references.map(([type]) => type);
    this.#roots = new Map([
      ...references.map(([type, reference]) => [type, { $ref: reference }] as const),
      ['profiles', profiles] as const,
    ]);
  }

  /** Returns the schema of a type; undefined for a type that dstack doesn't know. */
  root(type: string): Schema | undefined {
    return this.#roots.get(type);
  }

  /** Resolves references and unions to all alternatives, without null. */
  leaves(schema: Schema): readonly Schema[] {
    const resolved = this.#resolve(schema);
    const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((key) => records(resolved[key]));
    const found = branches.length === 0 ? [resolved] : branches.flatMap((branch) => this.leaves(branch));
    return found.filter(({ type }) => type !== 'null');
  }

  /** Returns the branch that a mapping matches: the one with its tag, else the one that has most of its keys. */
  branchFor(schema: Schema, value: Readonly<Record<string, unknown>>): Schema | undefined {
    const branches = this.leaves(schema).filter((leaf) => isRecord(leaf['properties']));
    const scored = branches.map((leaf) => {
      const properties = propertiesOf(leaf);
      const tags = Object.entries(properties).filter(([, property]) => isRecord(property) && 'const' in property);
      const tagged = tags.filter(([name, property]) => isRecord(property) && value[name] === property['const']).length;
      return { leaf, score: tagged * 1000 + Object.keys(value).filter((key) => Object.hasOwn(properties, key)).length };
    });
    return scored.sort((a, b) => b.score - a.score)[0]?.leaf;
  }

  /** Returns the properties of all branches, by name. */
  properties(schema: Schema): ReadonlyMap<string, Place> {
    const found = new Map<string, Place>();
    const itemsOf = (leaf: Schema): readonly Schema[] => (isRecord(leaf['items']) ? this.leaves(leaf['items']) : []);
    const branches = this.leaves(schema).flatMap((leaf) => (leaf['type'] === 'array' ? itemsOf(leaf) : [leaf]));
    for (const branch of branches) {
      const required = strings(branch['required']);
      for (const [name, property] of Object.entries(propertiesOf(branch)))
        if (isRecord(property) && (!found.has(name) || !('const' in property)))
          found.set(name, { schema: property, leaves: this.leaves(property), required: required.includes(name) });
    }
    return found;
  }

  /** Follows names from a type's root. Skips list items (numbers, `[n]`). */
  find(type: string, path: readonly string[]): Place | undefined {
    const schema = this.root(type);
    if (schema === undefined) return undefined;
    let place: Place | undefined = { schema, leaves: this.leaves(schema), required: true };
    for (const name of path.filter((part) => !/^(?:\d+|n|\*)$/.test(part)))
      place = place && this.properties(place.schema).get(name);
    return place;
  }

  #resolve(schema: Schema): Schema {
    const reference = schema['$ref'];
    if (typeof reference !== 'string') return schema;
    const target = this.definitions[reference.split('/').at(-1) ?? ''];
    return isRecord(target) ? target : {};
  }
}

const propertiesOf = ({ properties }: Schema): Schema => (isRecord(properties) ? properties : {});
const records = (value: unknown): Schema[] => (Array.isArray(value) ? value.filter(isRecord) : []);
export const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

type Source = Pick<Introspection, 'schemas'>;

const indexes = new WeakMap<Source, Promise<SchemaIndex | undefined>>();

/** Reads the schema of the installed dstack once; a failure isn't cached. Undefined if dstack doesn't provide a schema. */
export async function readIndex(introspection: Source): Promise<SchemaIndex | undefined> {
  const cached = indexes.get(introspection);
  if (cached !== undefined) return cached;
  const index = introspection
    .schemas()
    .then((schemas) => (schemas === undefined ? undefined : new SchemaIndex(schemas)));
  indexes.set(introspection, index);
  const found = await index.catch(() => undefined);
  if (found === undefined) indexes.delete(introspection);
  return found;
}

/** Reads the schema. @throws ToolError `cli-not-understood` if dstack doesn't provide one. */
export async function requireIndex(introspection: Source): Promise<SchemaIndex> {
  const index = await readIndex(introspection);
  if (index === undefined) throw parserUnavailable();
  return index;
}

/** Returns the backends that dstack knows, by the names that it takes; undefined if its schema doesn't list them. */
export function backendNames(index: SchemaIndex | undefined): readonly string[] | undefined {
  const type = index?.definitions['BackendType'];
  const names = isRecord(type) ? strings(type['enum']) : [];
  return names.length === 0 ? undefined : names;
}

/** Creates the error for a dstack whose parser can't be called. */
export const parserUnavailable = (): ToolError =>
  new ToolError(
    'cli-not-understood',
    "Can't call dstack's own parser: the installed dstack isn't a Python script, or didn't answer.",
    'plan still shows what dstack says about a file. doctor shows which dstack is used.',
  );

function definitionsOf(schema: Schema): Schema {
  const found = schema['$defs'] ?? schema['definitions'];
  return isRecord(found) ? found : {};
}

type Count = 'one' | 'many';

/** Describes the allowed values: `an integer from 1 up to 65535`, `` `spot` or `on-demand` ``, `a list of strings or mappings`. */
export function describeValues(index: SchemaIndex, schema: Schema, count: Count = 'one'): string {
  const leaves = index.leaves(schema);
  const allowed = leaves.flatMap(allowedValues).map((value) => `\`${value}\``);
  const others = leaves.filter((leaf) => allowedValues(leaf).length === 0).sort((a, b) => rankOf(a) - rankOf(b));
  const words = [...new Set([...allowed, ...others.map((leaf) => describeLeaf(index, leaf, count))])];
  // Every integer is a number.
  const shown = words.includes(KINDS.number[count]) ? words.filter((word) => word !== KINDS.integer[count]) : words;
  return joinOr(shown) || 'anything';
}

/** From the shortest to write to the longest. */
const KINDS = {
  integer: { one: 'an integer', many: 'integers' },
  number: { one: 'a number', many: 'numbers' },
  string: { one: 'a string', many: 'strings' },
  boolean: { one: 'a boolean', many: 'booleans' },
  array: { one: 'a list', many: 'lists' },
  object: { one: 'a mapping', many: 'mappings' },
  value: { one: 'a value', many: 'values' },
} as const;

function kindOf(leaf: Schema): keyof typeof KINDS {
  if (isRecord(leaf['properties'])) return 'object';
  const { type } = leaf;
  return typeof type === 'string' && isKind(type) ? type : 'value';
}

const isKind = (type: string): type is keyof typeof KINDS => Object.hasOwn(KINDS, type);

const rankOf = (leaf: Schema): number => Object.keys(KINDS).indexOf(kindOf(leaf));

/** Returns the values of an enumeration, or its constant. */
function allowedValues(leaf: Schema): string[] {
  const listed = Array.isArray(leaf['enum']) ? leaf['enum'] : 'const' in leaf ? [leaf['const']] : [];
  return listed.filter((value) => typeof value === 'string' || typeof value === 'number').map(String);
}

/** Leaves out patterns, which only programs read: the JSON schema has them. */
function describeLeaf(index: SchemaIndex, leaf: Schema, count: Count): string {
  const kind = kindOf(leaf);
  const words = KINDS[kind][count];
  if (kind === 'array' && isRecord(leaf['items'])) return `${words} of ${describeValues(index, leaf['items'], 'many')}`;
  const least = leaf['minimum'] ?? leaf['exclusiveMinimum'];
  const bounds = [
    ...(least === undefined ? [] : [`${leaf['minimum'] === undefined ? 'above' : 'from'} ${JSON.stringify(least)}`]),
    ...(leaf['maximum'] === undefined ? [] : [`up to ${JSON.stringify(leaf['maximum'])}`]),
  ];
  return [words, ...bounds].join(' ');
}

/** Returns a property's description on one line, without the list of its allowed values; only its first sentence with `short`. */
export function descriptionOf({ schema, leaves }: Pick<Place, 'schema' | 'leaves'>, short = false): string {
  const own = schema['description'] ?? (leaves.length === 1 ? leaves[0]?.['description'] : undefined);
  // Class docstrings are written for dstack's developers.
  const text = typeof own === 'string' && !/^Attributes:|:class:/m.test(own) ? own.replace(/\s+/g, ' ').trim() : '';
  const first = short ? (/^.*?(?=\. |$)/.exec(text)?.[0] ?? text) : text;
  const list = /(?:,? one of)?: (?:`[^`]+`(?:, )?)+$/.exec(first);
  const values = new Set(leaves.flatMap(allowedValues));
  const isRepeated = [...(list?.[0] ?? '').matchAll(/`([^`]+)`/g)].every(([, value = '']) => values.has(value));
  return list !== null && isRepeated ? first.slice(0, list.index) : first;
}

/** Returns the URL of dstack's reference, at the property; that of all types for an unknown one. */
export function referenceLink(type: string | undefined, path: readonly string[]): string {
  if (type === undefined) return 'https://dstack.ai/docs/reference/dstack.yml';
  if (type === 'profiles') return 'https://dstack.ai/docs/reference/profiles.yml';
  const anchor = path.find((part) => !/^\d+$/.test(part));
  return `https://dstack.ai/docs/reference/dstack.yml/${type}${anchor === undefined ? '' : `#${anchor}`}`;
}

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
  const properties = propertiesOf(branch);
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

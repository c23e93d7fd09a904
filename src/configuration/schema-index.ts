/**
 * A small walker over dstack's JSON schema, by hand: a validator (ajv) tells every branch of a union that didn't fit, and what is
 * asked here is another question: which branch does the writer mean, what may stand there, and where is it described.
 */
export type Schema = Readonly<Record<string, unknown>>;

/** What may stand at a place. */
export interface Place {
  readonly schema: Schema;
  /** All that it may be, with references and unions resolved, without null. */
  readonly leaves: readonly Schema[];
  readonly required: boolean;
}

/** The configuration schema of the installed dstack, by type and property. */
export interface SchemaIndex {
  readonly version: string;
  readonly types: readonly string[];
  /** What references lead to, by name. */
  readonly definitions: Schema;
  /** What a configuration of the type may hold; undefined for a type that dstack doesn't know. */
  root(type: string): Schema | undefined;
  leaves(schema: Schema): readonly Schema[];
  /** The branch that a mapping means: the one with its tag, else the one that has most of its keys. */
  branchFor(schema: Schema, value: Readonly<Record<string, unknown>>): Schema | undefined;
  /** The properties of all branches, by name. */
  properties(schema: Schema): ReadonlyMap<string, Place>;
  /** Follows names from a type's root; names of items (numbers, `[n]`) are skipped. */
  find(type: string, path: readonly string[]): Place | undefined;
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const records = (value: unknown): Schema[] => (Array.isArray(value) ? value.filter(isRecord) : []);
export const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

/** Creates the index from what dstack's interpreter told. */
export function createSchemaIndex(schemas: {
  readonly version: string;
  readonly configuration: Schema;
  readonly profiles: Schema;
}): SchemaIndex {
  const { configuration, profiles } = schemas;
  const definitions: Schema = { ...definitionsOf(profiles), ...definitionsOf(configuration) };
  const resolve = (schema: Schema): Schema => {
    const reference = schema['$ref'];
    if (typeof reference !== 'string') return schema;
    const target = definitions[reference.split('/').at(-1) ?? ''];
    return isRecord(target) ? target : {};
  };
  const leaves = (schema: Schema): readonly Schema[] => {
    const whole = resolve(schema);
    const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((key) => records(whole[key]));
    const found = branches.length === 0 ? [whole] : branches.flatMap(leaves);
    return found.filter(({ type }) => type !== 'null');
  };
  const branchFor: SchemaIndex['branchFor'] = (schema, value) => {
    const branches = leaves(schema).filter((leaf) => isRecord(leaf['properties']));
    const scored = branches.map((leaf) => {
      const properties = isRecord(leaf['properties']) ? leaf['properties'] : {};
      const tags = Object.entries(properties).filter(([, property]) => isRecord(property) && 'const' in property);
      const tagged = tags.filter(([name, property]) => isRecord(property) && value[name] === property['const']).length;
      return { leaf, score: tagged * 1000 + Object.keys(value).filter((key) => Object.hasOwn(properties, key)).length };
    });
    return scored.sort((a, b) => b.score - a.score)[0]?.leaf;
  };
  const properties = (schema: Schema): ReadonlyMap<string, Place> => {
    const found = new Map<string, Place>();
    const branches = leaves(schema).flatMap((leaf) => (leaf['type'] === 'array' ? leavesOfItems(leaf) : [leaf]));
    for (const branch of branches) {
      const required = strings(branch['required']);
      for (const [name, property] of Object.entries(isRecord(branch['properties']) ? branch['properties'] : {}))
        if (isRecord(property) && (!found.has(name) || !('const' in property)))
          found.set(name, { schema: property, leaves: leaves(property), required: required.includes(name) });
    }
    return found;
  };
  const leavesOfItems = (leaf: Schema): readonly Schema[] => (isRecord(leaf['items']) ? leaves(leaf['items']) : []);
  const mapping = isRecord(configuration['discriminator']) ? configuration['discriminator']['mapping'] : undefined;
  const roots: Record<string, Schema> = {};
  for (const [type, reference] of Object.entries(isRecord(mapping) ? mapping : {})) roots[type] = { $ref: reference };
  const root = (type: string): Schema | undefined =>
    type === 'profiles' ? profiles : Object.hasOwn(roots, type) ? roots[type] : undefined;
  return {
    version: schemas.version,
    types: Object.keys(roots),
    definitions,
    root,
    leaves,
    branchFor,
    properties,
    find(type, path) {
      const schema = root(type);
      if (schema === undefined) return undefined;
      let place: Place | undefined = { schema, leaves: leaves(schema), required: true };
      for (const name of path.filter((part) => !/^(?:\d+|n|\*)$/.test(part))) {
        place = place && properties(place.schema).get(name);
      }
      return place;
    },
  };
}

function definitionsOf(schema: Schema): Schema {
  const found = schema['$defs'] ?? schema['definitions'];
  return isRecord(found) ? found : {};
}

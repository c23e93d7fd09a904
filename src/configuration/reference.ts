import { nearestNames } from '../dstack/argv/nearest-names.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { describableNames, describeProperty, describeTypes } from './describe.ts';
import { createSchemaIndex } from './schema-index.ts';
import type { SchemaIndex } from './schema-index.ts';
import { schemaOfType } from './type-schema.ts';
import { ToolError } from '../core/errors.ts';

const indexes = new WeakMap<Introspection, Promise<SchemaIndex | undefined>>();

/** The schema of an installed dstack, read once; a failure isn't kept. */
export async function readIndex(introspection: Introspection): Promise<SchemaIndex | undefined> {
  const known = indexes.get(introspection);
  if (known !== undefined) return known;
  const index = introspection
    .schemas()
    .then((schemas) => (schemas === undefined ? undefined : createSchemaIndex(schemas)));
  indexes.set(introspection, index);
  const found = await index.catch(() => undefined);
  if (found === undefined) indexes.delete(introspection);
  return found;
}

/** The same, where nothing can be told without it. @throws ToolError `cli-not-understood` */
export async function needIndex(introspection: Introspection): Promise<SchemaIndex> {
  const index = await readIndex(introspection);
  if (index === undefined) throw notJudged();
  return index;
}

/** The reference of a type or property; the list of types without one. @throws ToolError `invalid-input` with the nearest names. */
export function describe(index: SchemaIndex, property: string | undefined): Transcript {
  if (property === undefined) return shownAs('describe', describeTypes(index));
  const text = describeProperty(index, property);
  if (text === undefined) throw unknownName(index, property);
  return shownAs(`describe ${property}`, text);
}

/** The JSON schema of a type, without what others need. @throws ToolError `invalid-input` for a type that dstack doesn't know. */
export function formatSchema(index: SchemaIndex, type: string): Transcript {
  const schema = schemaOfType(index, type);
  if (schema === undefined) throw unknownName(index, type);
  return shownAs(`schema ${type}`, JSON.stringify(schema));
}

/** What isn't in the schema of the installed dstack, with what was most likely meant. */
export function unknownName(index: SchemaIndex, wanted: string): ToolError {
  const near = nearestNames(wanted, describableNames(index));
  return new ToolError(
    'invalid-input',
    `The installed dstack (${index.version}) has no type or property ${JSON.stringify(wanted)}.`,
    near.length > 0 ? `Did you mean ${near.join(' or ')}?` : `Types: ${index.types.join(', ')}, profiles.`,
  );
}

/** Text of this server, shown like the output of a command. */
export const shownAs = (command: string, stdout: string): Transcript => ({
  command: `config ${command}`,
  stdout,
  stderr: '',
  omittedBytes: 0,
  exit: { kind: 'exited', code: 0 },
  durationMs: 0,
  ran: 'plain',
});

/** dstack's parser can't be asked. */
export const notJudged = (): ToolError =>
  new ToolError(
    'cli-not-understood',
    "dstack's own parser can't be asked: the installed dstack is no Python script, or didn't answer.",
    'The plan tool still shows what dstack says about a file. The doctor tool shows which dstack is used.',
  );

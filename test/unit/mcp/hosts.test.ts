import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { HOST_RULES, MAX_NAME_CHARACTERS, placesOf } from './host-rules.ts';
import type { Place } from './host-rules.ts';
import { fixture } from '../../support/paths.ts';

const schema = z.record(z.string(), z.unknown());
const list = z.array(z.object({ name: z.string(), inputSchema: schema, outputSchema: schema }));

let tools: z.output<typeof list>;
let places: readonly Place[];

beforeAll(async () => {
  // test/unit/surface.test.ts checks this list.
  const file = fixture('snapshots', 'tools-list.json');
  tools = list.parse(JSON.parse(await readFile(file, 'utf8')));
  places = tools.flatMap(placesOf);
});

describe.each(HOST_RULES)('$host', ({ rule, source, isBrokenBy }) => {
  test(`accepts the list: ${rule}`, () => {
    expect(
      places.filter(isBrokenBy).map((place) => place.path),
      source,
    ).toEqual([]);
  });
});

test('server and tool name together are short enough for Cursor', () => {
  const longest = Math.max(...tools.map(({ name }) => name.length));
  expect('dstack-mcp'.length + longest).toBeLessThanOrEqual(MAX_NAME_CHARACTERS);
});

/** Breaks every rule, to prove that each one can fail. */
const BROKEN = placesOf({
  name: 'broken',
  inputSchema: {
    type: 'array',
    anyOf: [{ $ref: '#' }],
    oneOf: [],
    properties: {
      'a name': {},
      kind: { type: 'string' },
      format: { type: 'string', format: 'uri' },
      choice: { type: 'integer', enum: [1] },
    },
    items: [],
  },
  outputSchema: { type: 'array', $ref: '#' },
}).concat(placesOf({ name: 'empty', inputSchema: {}, outputSchema: {} }));

test.each(HOST_RULES)('detects a violation of the rule of $host: $rule', ({ isBrokenBy }) => {
  expect(BROKEN.some(isBrokenBy)).toBe(true);
});

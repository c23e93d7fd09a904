import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { HOST_RULES, MOST_CHARACTERS_OF_NAMES, placesOf } from './host-rules.ts';
import type { Place } from './host-rules.ts';
import { fixture } from '../../support/paths.ts';

const schema = z.record(z.string(), z.unknown());
const list = z.array(z.object({ name: z.string(), inputSchema: schema, outputSchema: schema }));

let tools: z.output<typeof list>;
let places: readonly Place[];

beforeAll(async () => {
  // What test/surface.test.ts holds to be what is listed.
  const file = fixture('snapshots', 'tools-list.json');
  tools = list.parse(JSON.parse(await readFile(file, 'utf8')));
  places = tools.flatMap(placesOf);
});

describe.each(HOST_RULES)('$host', ({ rule, source, isBrokenBy }) => {
  test(`is given what it takes: ${rule}`, () => {
    expect(
      places.filter(isBrokenBy).map((place) => place.path),
      source,
    ).toEqual([]);
  });
});

test('the names of this server and a tool together are short enough for Cursor, whatever name of ours the server has', () => {
  const longest = Math.max(...tools.map(({ name }) => name.length));
  expect('dstack-mcp'.length + longest).toBeLessThanOrEqual(MOST_CHARACTERS_OF_NAMES);
});

/** For each rule something that breaks it, so that none holds for nothing. */
const BROKEN = placesOf({
  name: 'broken',
  inputSchema: {
    type: 'array',
    anyOf: [{ $ref: '#' }],
    oneOf: [],
    properties: { 'a name': {}, format: { type: 'string', format: 'uri' }, choice: { type: 'integer', enum: [1] } },
    items: [],
  },
  outputSchema: { type: 'array', $ref: '#' },
}).concat(placesOf({ name: 'empty', inputSchema: {}, outputSchema: {} }));

test.each(HOST_RULES)('the rule of $host sees what breaks it: $rule', ({ isBrokenBy }) => {
  expect(BROKEN.some(isBrokenBy)).toBe(true);
});

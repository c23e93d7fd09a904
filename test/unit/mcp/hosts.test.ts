import { describe, expect, test } from 'vitest';
import { listTools, TOOL_LIST } from '../../../src/mcp/tools.ts';
import { HOST_RULES, MAX_NAME_CHARACTERS, placesOf } from './host-rules.ts';

const listed = listTools(TOOL_LIST, { cards: true, structured: true });
const places = listed.flatMap(placesOf);

describe.each(HOST_RULES)('$host', ({ rule, source, isBrokenBy }) => {
  test(`accepts the list: ${rule}`, () => {
    expect(
      places.filter(isBrokenBy).map((place) => place.path),
      source,
    ).toEqual([]);
  });
});

test('server and tool name together are short enough for Cursor', () => {
  const longest = Math.max(...listed.map(({ name }) => name.length));
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

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { annotationsOf } from '../../src/tool/tool.ts';
import { tools } from '../../tools/index.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { ClientKind } from '../support/connect.ts';

const listedTool = z.looseObject({
  name: z.string(),
  title: z.string(),
  description: z.string(),
  inputSchema: z.looseObject({ type: z.literal('object'), properties: z.record(z.string(), z.unknown()).optional() }),
  outputSchema: z.looseObject({ type: z.literal('object'), properties: z.record(z.string(), z.unknown()) }),
  annotations: z.record(z.string(), z.unknown()),
});

const lists = new Map<ClientKind, readonly Record<string, unknown>[]>();
let listed: readonly Record<string, unknown>[];

beforeAll(async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'surface-'));
  // No dstack anywhere: the list doesn't wait for it.
  const env = { HOME: home, PATH: '/nonexistent', DSTACK_MCP_CLI: path.join(home, 'none'), DSTACK_MCP_DIALOG: 'off' };
  const ends: (() => Promise<void>)[] = [];
  try {
    for (const kind of CLIENTS) {
      const client = await connect({ kind, env, atEnd: (end) => ends.push(end) });
      lists.set(kind, await client.listTools());
    }
    listed = lists.get(CLIENTS[0]) ?? [];
  } finally {
    await Promise.all(ends.map((end) => end()));
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
});

test('the list of tools matches the snapshot', async () => {
  // Changed on purpose? npx vitest run --project e2e test/e2e/surface.test.ts -u, and add it to CHANGELOG.md.
  await expect(`${JSON.stringify(listed, undefined, 2)}\n`).toMatchFileSnapshot(
    '../fixtures/snapshots/tools-list.json',
  );
});

test('each client gets the same list', () => {
  for (const kind of CLIENTS) expect(lists.get(kind), kind).toEqual(listed);
});

test('tools are listed in the order of tools/index.ts', () => {
  expect(listed.map((tool) => tool['name'])).toEqual(tools.map(({ name }) => name));
});

test('there are at most 18 tools, and the list fits in 20 KB', () => {
  expect(tools.length).toBeLessThanOrEqual(18);
  expect(Buffer.byteLength(JSON.stringify({ tools: listed }))).toBeLessThanOrEqual(20_000);
});

// test/unit/mcp/hosts.test.ts checks the rules of hosts for schemas.
test('every tool has a title, a description, a strict input and an output schema', () => {
  const parsed = z.array(listedTool).parse(listed);
  for (const { name, title, description, inputSchema, outputSchema } of parsed) {
    expect(name, name).toMatch(/^[a-z][a-z_]{1,30}$/);
    expect(title.length, name).toBeGreaterThan(3);
    expect(description, name).toMatch(/^[A-Z].{40,}\.$/);
    expect(inputSchema, name).toMatchObject({ additionalProperties: false });
    expect(outputSchema.properties, name).toMatchObject({ outcome: {}, summary: {}, output: {} });
  }
});

test('annotations match tool.effect', () => {
  const parsed = z.array(listedTool).parse(listed);
  for (const tool of tools) {
    const { annotations } = parsed.find(({ name }) => name === tool.name) ?? {};
    expect(annotations, tool.name).toEqual(annotationsOf(tool));
    expect(annotations?.['readOnlyHint'], tool.name).toBe(tool.effect === 'read');
    // Directories require it on every write; for read-only tools it has no meaning.
    expect(annotations?.['destructiveHint'], tool.name).toBe(tool.effect === 'read' ? undefined : true);
  }
});

test('every tool that changes dstack takes a token or a nonce; the others change only this computer', () => {
  const without = tools.filter(
    ({ effect, input, card }) => effect !== 'read' && card !== 'buttons' && !Object.hasOwn(input.shape, 'token'),
  );
  expect(without.map(({ name }) => name)).toEqual(['attach', 'write_config']);
});

test('only `decide` is for the buttons of the card: it is listed as such, and takes a nonce', () => {
  const buttons = tools.filter(({ card }) => card === 'buttons');
  expect(buttons.map(({ name, input }) => [name, Object.keys(input.shape)])).toEqual([
    ['decide', ['nonce', 'decision', 'name']],
  ]);
  const appOnly = listed.filter((tool) => JSON.stringify(tool['_meta'])?.includes('"visibility":["app"]'));
  expect(appOnly.map(({ name }) => name)).toEqual(['decide']);
});

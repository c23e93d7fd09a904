import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { writeLargeDstack } from '../../scripts/lab/scale/large-dstack.ts';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { Answer, TestClient } from '../support/connect.ts';
import { residentBytes } from '../support/processes.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { waitForRun } from '../support/wait.ts';

const MEGABYTE = 1_000_000;
const LOG_LINES = 1_000_000;
const RUNS = 5_000;
const SECRETS = 5_000;
const INSTANCES = 1_000;
const OFFERS = 20_000;
/** The text of a result for which nothing more was asked. */
const MAX_BYTES = 8 * 1024;
/** The limit of clients: 25,000 tokens, about 80 KB. */
const LARGEST_RESULT = 80_000;

const atEnd = collectEnds(afterAll);
const run = uniqueName('scale');
let home: TestHome;
let cli: string;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  const client = await connect({ env: home.env, atEnd });
  atEnd(() => stopRuns(run));
  const plan = await client.call('plan', { file: await home.write('scale.dstack.yml', task(run)) });
  await client.call('apply', { token: plan.facts['token'] });
  await waitForRun(client, run, 'running');
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-scale-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const large = await writeLargeDstack(folder, inject('sandbox').cli);
  await large.resize({
    runs: RUNS,
    instances: INSTANCES,
    offers: OFFERS,
    secrets: SECRETS,
    logMegabytes: (LOG_LINES * 100) / MEGABYTE,
  });
  cli = large.cli;
});

function expectBounded({ text, facts }: Answer): void {
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_BYTES);
  expect(JSON.stringify(facts).length).toBeLessThan(LARGEST_RESULT);
}

describe.each([
  ['the warm worker', 'on'],
  ['plain processes', 'off'],
])('through %s', (_how, warm) => {
  const ends = collectEnds(afterAll);
  let client: TestClient;

  beforeAll(async () => {
    client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli, DSTACK_MCP_WARM: warm }, atEnd: ends });
    // Reading the help pages grows the memory once.
    await client.call('ps', { last: 1 });
    await client.call('logs', { run, lines: 1 });
  });

  test('a log of 100 MB returns its last lines and size, and needs less memory than that', async () => {
    const before = await residentBytes(client.pid);
    const answer = await client.call('logs', { run, lines: 50 });
    expect(answer.facts, answer.text).toMatchObject({
      outcome: 'done',
      totalLines: LOG_LINES,
      totalBytes: LOG_LINES * 100,
      firstLine: LOG_LINES - 49,
      lastLine: LOG_LINES,
    });
    const shown = String(answer.facts['output']).match(/^\d{7} x{91}$/gm) ?? [];
    expect(shown.map((line) => Number(line.slice(0, 7)))).toEqual(
      Array.from({ length: 50 }, (_, index) => LOG_LINES - 50 + index),
    );
    expect((await residentBytes(client.pid)) - before).toBeLessThan(100 * MEGABYTE);
    expectBounded(answer);

    const older = await client.call('logs', { run, lines: 50, cursor: answer.facts['older'] });
    expect(older.facts).toMatchObject({ lastLine: LOG_LINES - 50 });
    const found = await client.call('logs', { run, filter: '0500000 ' });
    expect(found.facts).toMatchObject({ matches: 1 });
    expect(found.facts['output']).toContain('0500000 x');
    expect((await residentBytes(client.pid)) - before).toBeLessThan(100 * MEGABYTE);
  });

  test('of five thousand runs, those that dstack lists are returned, and the answer says that there may be more', async () => {
    const answer = await client.call('ps', { all: true });
    expectBounded(answer);
    const summary = '100 runs; dstack lists only the latest 100, so there may be more.';
    expect(answer.facts).toMatchObject({ outcome: 'done', summary });
    expect(answer.facts['runs']).toHaveLength(100);
    const last = await client.call('ps', { last: 3 });
    expect(last.facts['runs']).toHaveLength(3);
    expect(last.facts['truncated']).toBeUndefined();
  });

  test('of a thousand instances and twenty thousand offers, what is left out is counted', async () => {
    const fleets = await client.call('fleet');
    expectBounded(fleets);
    expect(fleets.facts).toMatchObject({ outcome: 'done', truncated: true });
    expect(fleets.text).toMatch(/left out here; /);
    const offers = await client.call('offer');
    expectBounded(offers);
    expect(offers.facts).toMatchObject({ outcome: 'done', total: OFFERS });
    expect(offers.facts['summary']).toMatch(/^\d+ of 20000 offers/);
  });

  test('a list of five thousand is counted and cut', async () => {
    const answer = await client.call('list', { type: 'secrets' });
    expectBounded(answer);
    expect(answer.facts).toMatchObject({ summary: `${SECRETS} secrets.`, truncated: true });
    expect(answer.facts['output']).toMatch(/left out here; /);
  });
});

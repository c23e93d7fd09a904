import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { Answer, TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { until, waitForLog, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
const RUN = uniqueName('read');
let client: TestClient;
let older: TestClient;

beforeAll(async () => {
  const home = await createTestHome({ atEnd });
  client = await connect({ env: home.env, atEnd });
  older = await connect({ env: home.env, kind: CLIENTS[2], atEnd });
  atEnd(() => stopRuns(RUN));
  await home.write(
    'read.dstack.yml',
    task(RUN, { commands: ['for i in 1 2 3 4 5; do echo "line $i"; done', 'sleep infinity'] }),
  );
  const plan = await client.call('plan', { file: 'read.dstack.yml' });
  await client.call('apply', { token: plan.facts['token'] });
  await waitForRun(client, RUN, 'running');
  await waitForLog(client, RUN, 'line 5');
});

/** Expects dstack's output and each short fact in both channels, because clients show the model only one of them. */
function expectBothChannels({ text, facts }: Answer): void {
  const { output, summary, next, outcome, truncated, ...others } = facts;
  expect(output).toEqual(expect.any(String));
  for (const shown of [summary, output, next ?? '']) expect(text).toContain(shown);
  expect(text).toContain(`outcome: ${String(outcome)}`);
  expect(text.includes('left out here')).toBe(truncated === true);
  for (const fact of scalars(others)) expect(text).toContain(fact);
}

/** Returns the facts that fit on a line. */
const scalars = (facts: object): string[] =>
  Object.values(facts)
    .filter((value) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(String);

/** Returns the offers of an answer with their availability. */
const listed = (facts: Answer['facts']): readonly { readonly availability: string }[] =>
  z.array(z.looseObject({ availability: z.string() })).parse(facts['offers']);

/** Returns the offers without existing instances, which concurrent tests may rent. */
const forSale = (facts: Answer['facts']): readonly object[] =>
  listed(facts).filter(({ availability }) => availability !== 'busy' && availability !== 'idle');

/** Facts that depend on the runs of other tests: between two calls, one of them may start or end. */
const CHANGING = new Set(['next', 'truncated']);
const stableKeys = (facts: object): readonly string[] =>
  Object.keys(facts)
    .filter((key) => !CHANGING.has(key))
    .toSorted();

async function ask(tool: string, input: Readonly<Record<string, unknown>> = {}, from = client): Promise<Answer> {
  const answer = await from.call(tool, input);
  expect(answer.facts['outcome'], answer.text).toBe('done');
  expectBothChannels(answer);
  return answer;
}

/** Calls with both protocol eras, and expects the same facts apart from changing ones. */
async function askBoth(tool: string, input: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
  const [answer, old] = await Promise.all([ask(tool, input), ask(tool, input, older)]);
  expect(stableKeys(old.facts)).toEqual(stableKeys(answer.facts));
  return answer;
}

describe('the state of dstack:', () => {
  test('ps lists and filters runs', async () => {
    const { facts } = await askBoth('ps', { verbose: true });
    expect(facts['runs']).toContainEqual(expect.objectContaining({ name: RUN, status: 'running' }));
    expect(facts['output']).toMatch(/^\$ dstack ps --verbose\n NAME /);
    const named = await ask('ps', { name: RUN.slice(0, -1) });
    expect(named.facts['output']).toContain(RUN);
    const none = await client.call('ps', { name: 'no-such-name' });
    expect(none.text).toMatch(/^No run whose name contains "no-such-name" \(\d+ other runs? listed\)/);
    const last = await ask('ps', { last: 1 });
    expect(last.facts['runs']).toHaveLength(1);
    const flagged = await ask('ps', { flags: { '--all': true } });
    expect(flagged.facts['output']).toMatch(/^\$ dstack ps --all\n/);
  });

  test('get shows a run, and its full JSON on request', async () => {
    const { facts } = await askBoth('get', { name: RUN });
    expect(facts).toMatchObject({ status: 'running', run: { name: RUN, kind: 'task', jobs: [{ status: 'running' }] } });
    expect(facts['output']).toBe('');
    expect(facts['summary']).toMatch(/asked for: .*cpu=x86:1\.\..*\nruns on: .*\ncost so far: /);
    const full = await ask('get', { name: RUN, full: true });
    expect(String(full.facts['output'])).toContain('"run_spec"');
    expect(String(full.facts['output']).length).toBeGreaterThan(String(facts['output']).length);
  });

  test('get does not wait for a status that the run has passed', async () => {
    const { facts } = await client.call('get', { name: RUN, wait_for: 'submitted' });
    expect(facts).toMatchObject({ outcome: 'blocked', status: 'running', reached: false });
    expect(facts['next']).not.toMatch(/keep waiting/);
  });

  test('get and logs of several runs report each, and one that fails does not hide the others', async () => {
    const runs = [RUN, 'no-such-run'];
    const got = await client.call('get', { name: runs });
    expect(got.facts['outcome']).not.toBe('done');
    expect(got.text).toMatch(
      new RegExp(`^Run ${RUN} is running[^]*\\nno-such-run: .*not found[^]*\\n${RUN}: asked for: `, 'i'),
    );
    const logs = await client.call('logs', { run: runs, lines: 2 });
    expect(logs.text).toMatch(/no-such-run: .*not found[^]*line 4\nline 5\n/i);
    const older_ = await client.call('logs', { run: runs, cursor: 'x' });
    expect(older_.facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
  });

  test('fleets with their instances, and one by name', async () => {
    const { facts } = await askBoth('fleet');
    expect(facts['fleets']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'cloud', status: 'active', nodes: '0..4' }),
        expect.objectContaining({
          name: 'on-prem',
          instances: expect.arrayContaining([expect.objectContaining({ backend: 'ssh', gpu: 'A100:80GB:1' })]),
        }),
      ]),
    );
    const one = await askBoth('fleet', { name: 'on-prem' });
    expect(one.facts['fleet']).toMatchObject({ kind: 'fleet', name: 'on-prem', status: 'active' });
    expect(one.facts['summary']).toMatch(/^Fleet on-prem is active\.[^]*\n3 instances[^]*gpu=A100:80GB:1/);
    expect(one.facts['output']).toBe('');
    const full = await ask('fleet', { name: 'on-prem', full: true });
    expect(full.facts['output']).toMatch(/^\$ dstack fleet get --json on-prem\n\{/);
  });

  test('offers, filtered, counted, and grouped', async () => {
    const offered = async (input: Readonly<Record<string, unknown>>): Promise<Answer['facts']> =>
      (await ask('offer', input)).facts;
    const { facts: rtx4090 } = await askBoth('offer', { gpu: 'RTX4090', backend: ['cloudrift'] });
    expect(forSale(rtx4090)).toMatchObject([
      { backend: 'cloudrift', gpu: 'RTX4090:24GB:1', pricePerHour: 0.39, availability: 'available' },
      { gpu: 'RTX4090:24GB:2', pricePerHour: 0.78, availability: 'not available' },
    ]);
    expect(rtx4090['total']).toBe(listed(rtx4090).length);
    // The fleet `cloud` allows each offer of its backend.
    expect(rtx4090['summary']).not.toContain('excluded');
    expect(forSale(await offered({ backend: ['cloudrift'], max_price: 0.7 }))).toHaveLength(2);
    expect(forSale(await offered({ region: ['eu-north-fi-1'], gpu: 'H100:8' }))).toMatchObject([
      { region: 'eu-north-fi-1', instanceType: 'h100.8', spot: false },
    ]);
    const onPrem = listed(await offered({ fleet: ['on-prem'], gpu: 'A100' }));
    expect(onPrem).toEqual(onPrem.map(() => expect.objectContaining({ backend: 'ssh' })));
    expect(onPrem).not.toHaveLength(0);
    const cut = await offered({ backend: ['cloudrift'], max_offers: 3 });
    expect(listed(cut)).toHaveLength(3);
    expect(cut['total']).toBeGreaterThanOrEqual(9);
    expect(await offered({ spot: 'spot', backend: ['cloudrift'] })).toMatchObject({
      offers: [],
      summary: 'No offers match.',
      next: expect.stringContaining('spot "auto"'),
    });
    expect(await offered({ backend: ['cloudrift'], group_by: ['gpu'] })).toMatchObject({
      gpus: expect.arrayContaining([expect.objectContaining({ gpu: expect.stringContaining('H100') })]),
    });
  });

  test.each(['volumes', 'gateways', 'secrets', 'presets'])('list of %s', async (type) => {
    const { facts } = await ask('list', { type });
    expect(facts['items']).toEqual(expect.any(Array));
    expect(facts['output']).toMatch(new RegExp(`^\\$ dstack ${type.slice(0, -1)}`));
  });

  test.each(['exports', 'imports'])('list of %s, which the open-source server does not support', async (type) => {
    const { facts } = await client.call('list', { type });
    // Before 0.22, dstack supports them and lists none.
    const { outcome, code, items, output } = facts;
    expect([
      { outcome: 'blocked', code: 'not-supported', says: true, items: undefined },
      { outcome: 'done', code: undefined, says: false, items: [] },
    ]).toContainEqual({ outcome, code, says: String(output).includes('does not support exports'), items });
  });

  test('list of projects, without their tokens', async () => {
    const { facts, text } = await askBoth('list', { type: 'projects' });
    expect(facts['items']).toEqual([expect.objectContaining({ PROJECT: 'main' })]);
    expect(text).not.toContain(inject('sandbox').token);
  });
});

describe('the history of a run:', () => {
  test('logs from the end, by page, and by filter', async () => {
    const { facts } = await askBoth('logs', { run: RUN, lines: 2 });
    expect(facts).toMatchObject({ firstLine: 4, lastLine: 5, totalLines: 5 });
    expect(facts['output']).toMatch(/untrusted output .*\n.*line 4\nline 5\n/);
    const older_ = await ask('logs', { run: RUN, lines: 2, cursor: facts['older'] });
    expect(older_.facts).toMatchObject({ firstLine: 2, lastLine: 3 });
    const found = await askBoth('logs', { run: RUN, filter: 'LINE 3', context: 1 });
    expect(found.facts['matches']).toBe(1);
    expect(found.facts['output']).toContain('line 2');
    expect(found.facts['output']).not.toContain('line 5');
  });

  test('events of a run and of a fleet', async () => {
    const { facts } = await askBoth('event', { run: RUN });
    expect(facts['events']).toBeGreaterThan(0);
    expect(facts['output']).toMatch(/untrusted/);
    expect(facts['output']).toContain(RUN);
    const fleet = await ask('event', { fleet: 'on-prem' });
    expect(fleet.facts['output']).toContain('on-prem');
  });

  test('metrics', async () => {
    const { facts } = await until(
      () => client.call('metrics', { run: RUN }),
      ({ text }) => /\d+%/.test(text),
    );
    expect(facts['rows']).toContainEqual({
      job: 'job=0',
      part: 'cpu',
      utilization: expect.stringMatching(/^\d+%$/),
      memory: expect.stringMatching(/^\d+MB\/\d+GB$/),
    });
    expect(facts['summary']).toMatch(/job=0 cpu \d+% memory \d+MB/);
    await askBoth('metrics', { run: RUN });
  });
});

describe('the documentation of dstack:', () => {
  const COMMANDS = [
    '',
    'apply',
    'ps',
    'attach',
    'logs',
    'stop',
    'fleet',
    'fleet get',
    'fleet delete',
    'offer',
    'run get',
  ];
  const MORE = [
    'volume',
    'gateway',
    'secret list',
    'preset',
    'export list',
    'import list',
    'project',
    'event',
    'metrics',
  ];

  test.each([...COMMANDS, ...MORE])('help of `%s` is that of the CLI', async (command) => {
    const { facts } = await ask('help', { command });
    expect(facts['output']).toMatch(new RegExp(`\nUsage: dstack ${command}`.trimEnd()));
    expect(facts['command']).toBe(`dstack ${command} --help`.replace('  ', ' '));
  });

  test.each(['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway'])(
    'help of apply for a %s',
    async (type) => {
      const { facts } = await ask('help', { command: 'apply', type });
      expect(facts['output']).toContain('--name');
      expect(facts['command']).toBe(`dstack apply -h ${type}`);
    },
  );

  test('help answers for one flag, or a word', async () => {
    const { facts } = await askBoth('help', { command: 'apply --max-price' });
    expect(facts['output']).toMatch(/^\$ dstack apply --help\ndstack apply:\n {2}--max-price PRICE .*\n?$/);
    expect((await ask('help', { command: 'spot' })).facts['output']).toMatch(/dstack apply:\n[^]*--spot/);
  });

  test('doctor reports no problem, and what this client supports', async () => {
    const { facts, text } = await askBoth('doctor');
    expect(facts['healthy'], text).toBe(true);
    expect(text).toContain(`at ${inject('sandbox').cli}`);
    expect(text).toMatch(/dstack: 0\.\d+\.\d+ at /);
    expect(text).toMatch(/project main on http:.* responds in/);
    expect(text).toMatch(/can't ask the user/);
  });
});

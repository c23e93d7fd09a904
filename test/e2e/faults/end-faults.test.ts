import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import { processesIn } from '../../support/processes.ts';
import { INITIALIZE, startRawServer } from '../../support/raw-server.ts';
import type { RawServer } from '../../support/raw-server.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import type { FaultyServer } from '../../support/faulty-server.ts';
import { callTool, resultOf } from '../../support/raw-results.ts';

const atEnd = collectEnds(afterAll);
const SUBMIT = /\/runs\/apply$/;
const PLAN = /\/runs\/get_plan$/;

let home: TestHome;
let dstack: FaultyServer;
let name: string;
let file: string;
/** The number of requests before the test. */
let before: number;

beforeAll(async () => {
  dstack = await startFaultyServer(inject('sandbox').url, atEnd);
  home = await createTestHome({ url: dstack.url, atEnd });
});
beforeEach(async () => {
  dstack.breakWith(undefined);
  before = dstack.seen.length;
  name = uniqueName('ended');
  file = await home.write(`${name}.dstack.yml`, task(name));
  return () => stopRuns(name);
});

const requestsTo = (where: RegExp): readonly { readonly faulty: boolean }[] =>
  dstack.seen.slice(before).filter(({ path: asked }) => where.test(asked));

/** Waits until a request has met the fault. */
const held = (where: RegExp): Promise<unknown> =>
  until(
    () => Promise.resolve(requestsTo(where)),
    (requests) => requests.some(({ faulty }) => faulty),
  );

/** Starts a server whose client can show forms if `forms` is set. */
function start({ forms = false, more = {} } = {}): RawServer {
  const server = startRawServer({ ...home.env, ...more });
  server.request(1, 'initialize', { ...INITIALIZE, capabilities: forms ? { elicitation: {} } : {} });
  server.notify('notifications/initialized');
  return server;
}

async function planWith(server: RawServer): Promise<unknown> {
  callTool(server, 2, 'plan', { file });
  const { token } = await resultOf(server, 2);
  expect(token).toEqual(expect.any(String));
  return token;
}

const nobodyLeft = (): Promise<unknown> =>
  until(
    () => processesIn(home.home),
    (found) => found.length === 0,
  );

async function auditOf(run: string): Promise<readonly string[]> {
  const text = await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line.includes(`"${run}"`));
  return lines
    .map((line): { event: string; outcome?: string } => JSON.parse(line))
    .map(({ event, outcome }) => outcome ?? event);
}

/** Delays the response of dstack's server to a submission until it is released. */
function holdSubmission(): () => void {
  let release = (): void => undefined;
  const untilReleased = new Promise<void>((resolve) => {
    release = resolve;
  });
  dstack.breakWith({ kind: 'late', untilReleased }, SUBMIT);
  return release;
}

/** The steps in which a server may end before anything was changed. */
const BEFORE: readonly (readonly [string, () => Promise<RawServer>])[] = [
  [
    'in a plan, and in an apply that plans again',
    async () => {
      const server = start();
      const token = await planWith(server);
      dstack.breakWith({ kind: 'hang' }, PLAN);
      callTool(server, 3, 'apply', { token });
      callTool(server, 4, 'plan', { file });
      await until(
        () => Promise.resolve(dstack.hanging),
        (hanging) => hanging === 2,
      );
      return server;
    },
  ],
  [
    'while a person is asked',
    async () => {
      const server = start({ forms: true });
      callTool(server, 3, 'apply', { token: await planWith(server) });
      await until(
        () => Promise.resolve(server.messages()),
        (messages) => messages.some((message) => message['method'] === 'elicitation/create'),
      );
      return server;
    },
  ],
];

const ENDS: readonly (readonly [string, (server: RawServer) => void, number])[] = [
  ['SIGTERM', (server) => server.signal('SIGTERM'), 143],
  [
    'the end of its client',
    (server) => {
      server.closeOutput();
      server.endInput();
    },
    0,
  ],
];

const MODES = [
  ['in the worker', 'on'],
  ['in a plain process', 'off'],
] as const;

describe.each(ENDS)('%s', (how, end, code) => {
  test.each(BEFORE)('%s: the server exits, nothing is changed, and no process is left', async (_when, reach) => {
    const server = await reach();
    end(server);
    expect(await server.ended).toEqual({ code, signal: null });
    await nobodyLeft();
    expect(requestsTo(SUBMIT)).toEqual([]);
    expect(await runNames()).not.toContain(name);
  });

  // A plain process is left in the same way, however its server ends.
  test.each(how === 'SIGTERM' ? MODES : MODES.slice(0, 1))(
    'in an apply that was submitted %s: the server ends, dstack finishes it, once, and the audit log says unknown',
    async (_where, warm) => {
      // Whoever waits for the change waits for an hour.
      const server = start({ more: { DSTACK_MCP_WARM: warm, DSTACK_MCP_TIMEOUT: '3600' } });
      const token = await planWith(server);
      const release = holdSubmission();
      callTool(server, 3, 'apply', { token });
      await held(SUBMIT);
      end(server);
      expect(await server.ended).toEqual({ code, signal: null });
      release();
      await nobodyLeft();
      expect((await runNames()).filter((one) => one === name)).toHaveLength(1);
      expect(requestsTo(SUBMIT)).toHaveLength(1);
      expect(await auditOf(name)).toEqual(['asked', 'approved', 'unknown']);
    },
  );
});

test('standard output closed in an apply: it is executed once and recorded, and the server exits', async () => {
  const server = start();
  const token = await planWith(server);
  const release = holdSubmission();
  callTool(server, 3, 'apply', { token });
  await held(SUBMIT);
  server.closeOutput();
  release();
  expect(await server.ended).toEqual({ code: 0, signal: null });
  await nobodyLeft();
  expect((await runNames()).filter((one) => one === name)).toHaveLength(1);
  expect(await auditOf(name)).toEqual(['asked', 'approved', 'done']);
});

test('SIGKILL in an apply: dstack finishes it, and the next server reports a used token and makes no second run', async () => {
  const server = start();
  const token = await planWith(server);
  const release = holdSubmission();
  callTool(server, 3, 'apply', { token });
  await held(SUBMIT);
  server.signal('SIGKILL');
  expect(await server.ended).toEqual({ code: null, signal: 'SIGKILL' });
  release();
  await nobodyLeft();
  dstack.breakWith(undefined);

  const next = await connect({ env: home.env });
  const refused = (await next.call('apply', { token })).facts;
  expect(refused['summary']).toMatch(
    new RegExp(`An earlier server of yours ended while .*create task ${name} in project .*\\. The run ${name} is `),
  );
  expect(refused).toMatchObject({ outcome: 'refused', code: 'token-used' });
  expect(refused['summary']).toMatch(/another dstack-mcp process has used it/);
  expect(refused['next']).toMatch(/ps/);
  const found = (await next.call('get', { name })).facts;
  expect(found['outcome']).toBe('done');
  expect(found['summary']).not.toContain('An earlier server');
  const plan = (await next.call('plan', { file })).facts;
  expect(plan).toMatchObject({ outcome: 'nothing-to-do' });
  expect(plan['token']).toBeUndefined();
  expect(requestsTo(SUBMIT)).toHaveLength(1);
  expect((await runNames()).filter((one) => one === name)).toHaveLength(1);
  expect(await auditOf(name)).toEqual(['asked', 'approved', 'unknown']);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { tools } from '../../tools/index.ts';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, agreeing, connect } from '../support/connect.ts';
import type { Answer, ClientKind, TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { previewAndDelete, previewAndStop, until, waitForLog, waitForRun } from '../support/wait.ts';

/** The environment of one client. */
interface Stage {
  readonly home: TestHome;
  readonly client: TestClient;
  readonly run: string;
  readonly volume: string;
}

const JOB = { commands: ['echo "hello from the job"', 'sleep infinity'] };

/** One of each protocol era. The third only combines them: the newer SDK with the older era, which consent.test.ts has. */
const KINDS = [CLIENTS[0], CLIENTS[2]] as const;

const atEnd = collectEnds(afterAll);
const stages = new Map<ClientKind, Stage>();

beforeAll(async () => {
  await Promise.all(KINDS.map(async (kind) => stages.set(kind, await setUp(kind))));
});

async function setUp(kind: ClientKind): Promise<Stage> {
  const home = await createTestHome({ atEnd });
  const client = await connect({ env: home.env, kind, person: agreeing, showsCards: true, atEnd });
  const run = uniqueName('era');
  const volume = uniqueName('era-volume');
  atEnd(() => stopRuns(run));
  await start({ home, client }, 'run.dstack.yml', task(run, JOB));
  await waitForRun(client, run, 'running');
  return { home, client, run, volume };
}

/** Plans and applies, and returns the answer of apply. */
async function start(
  { home, client }: Pick<Stage, 'home' | 'client'>,
  file: string,
  configuration: Readonly<Record<string, unknown>>,
): Promise<Answer> {
  await home.write(file, configuration);
  const plan = await client.call('plan', { file });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', token: expect.any(String) });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts, applied.text).toMatchObject({ outcome: 'done', operation: 'create' });
  return applied;
}

/** A service that all clients call. */
let service: Promise<string> | undefined;

async function startService(stage: Stage): Promise<string> {
  const name = uniqueName('asked');
  atEnd(() => stopRuns(name));
  const more = { type: 'service', port: 8000, auth: false, commands: ['serve'], fleets: ['on-prem'] };
  await start(stage, 'service.dstack.yml', task(name, more));
  await waitForRun(stage.client, name, 'ready');
  return name;
}

const attachments = ({ facts }: Answer): readonly unknown[] => z.array(z.unknown()).parse(facts['attachments']);

/** One real use of each tool, in this order: the last ones remove the run and the volume. */
const ROUNDS: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  plan: async ({ home, client, run }) => {
    await home.write('again.dstack.yml', task(run, { commands: ['echo another'] }));
    const { facts } = await client.call('plan', { file: 'again.dstack.yml' });
    expect(facts).toMatchObject({ outcome: 'done', operation: 'replace', resource: { name: run } });
  },
  apply: async (stage) => {
    const volume = { type: 'volume', name: stage.volume, backend: 'runpod', region: 'EU-RO-1', size: '10GB' };
    const applied = await start(stage, 'volume.dstack.yml', volume);
    expect(applied.facts['consent']).toMatch(/^person-form/);
  },
  config: async ({ client }) => {
    const { facts } = await client.call('config', { action: 'validate', text: 'type: task\ncommands: [echo hi]\n' });
    expect(facts, String(facts['summary'])).toMatchObject({ outcome: 'done', verdict: 'valid' });
  },
  write_config: async ({ client }) => {
    const text = 'type: task\ncommands: [echo hi]\n';
    const { facts } = await client.call('write_config', { file: 'written.dstack.yml', text });
    expect(facts, String(facts['summary'])).toMatchObject({ outcome: 'done' });
  },
  ps: async ({ client, run }) => {
    const { facts } = await client.call('ps');
    expect(facts['runs']).toContainEqual(expect.objectContaining({ name: run, status: 'running' }));
  },
  get: async ({ client, run }) => {
    const { facts } = await client.call('get', { name: run, wait_for: 'running' });
    expect(facts).toMatchObject({ status: 'running', reached: true, run: { name: run } });
  },
  logs: async ({ client, run }) => {
    const { text } = await waitForLog(client, run, 'hello from the job');
    expect(text).toMatch(/untrusted/);
  },
  event: async ({ client, run }) => {
    const { facts } = await client.call('event', { run });
    expect(facts['events']).toBeGreaterThan(0);
  },
  metrics: async ({ client, run }) => {
    expect((await client.call('metrics', { run })).facts['outcome']).toBe('done');
  },
  copy: async ({ home, client, run }) => {
    await client.call('exec', { run, action: 'revoke' });
    await home.write('note.txt', 'a note');
    const upload = { direction: 'upload', run, local: 'note.txt', remote: 'note.txt' };
    const asked = await client.call('copy', upload);
    const uploaded = await client.call('apply', { token: asked.facts['token'] });
    expect(uploaded.facts, uploaded.text).toMatchObject({ outcome: 'done', files: 1 });
    const { facts } = await client.call('copy', { ...upload, direction: 'download', local: 'back.txt' });
    expect(facts).toMatchObject({ outcome: 'done', files: 1, checkedBy: 'sha256' });
  },
  exec: async ({ client, run }) => {
    await client.call('exec', { run, action: 'revoke' });
    const command = { run, command: 'echo "it is $DSTACK_RUN_NAME"; exit 3' };
    const asked = await client.call('exec', command);
    expect(asked.facts, asked.text).toMatchObject({ operation: 'access', resource: { name: run } });
    const ran = await client.call('apply', { token: asked.facts['token'] });
    expect(ran.facts, ran.text).toMatchObject({ exitCode: 3 });
    expect(ran.text).toContain(`it is ${run}`);
    expect((await client.call('exec', { run, action: 'revoke' })).facts['outcome']).toBe('done');
    expect((await client.call('exec', command)).facts).toMatchObject({ operation: 'access' });
  },
  attach: async ({ client, run }) => {
    const attached = await until(
      () => client.call('attach', { run }),
      (answer) => answer.text.includes('attached.'),
    );
    expect(attachments(attached)).toMatchObject([{ run, state: 'attached' }]);
    expect((await client.call('attach', { action: 'stop', run })).facts['outcome']).toBe('done');
  },
  request: async (stage) => {
    service ??= startService(stage);
    const { text } = await until(
      async () => stage.client.call('request', { run: await service, path: '/health' }),
      ({ facts }) => facts['httpStatus'] === 200,
    );
    expect(text).toMatch(/untrusted/);
  },
  fleet: async ({ client }) => {
    const { facts } = await client.call('fleet');
    expect(facts['fleets']).toContainEqual(expect.objectContaining({ name: 'cloud' }));
  },
  offer: async ({ client }) => {
    const { facts } = await client.call('offer', { gpu: 'RTX4090' });
    expect(facts['offers']).toContainEqual(expect.objectContaining({ gpu: expect.stringContaining('RTX4090') }));
  },
  list: async ({ client, volume }) => {
    const { facts } = await client.call('list', { type: 'volumes' });
    expect(facts['items']).toContainEqual(expect.objectContaining({ NAME: volume }));
  },
  help: async ({ client }) => {
    expect((await client.call('help', { command: 'apply' })).facts['output']).toMatch(/Usage: dstack apply/);
  },
  doctor: async ({ client }) => {
    const { facts } = await client.call('doctor');
    expect(facts['healthy'], String(facts['summary'])).toBe(true);
  },
  decide: async ({ home, client, run }) => {
    await home.write('urgent.dstack.yml', task(run, { ...JOB, priority: 60 }));
    const plan = await client.call('plan', { file: 'urgent.dstack.yml' });
    const clicked = await client.call('decide', { nonce: plan.card?.['nonce'], decision: 'approve' });
    expect(clicked.facts, clicked.text).toMatchObject({ outcome: 'done', operation: 'update' });
    expect(clicked.facts['consent']).toMatch(/^person-card/);
  },
  delete: async ({ client, volume }) => {
    await until(
      () => client.call('get', { name: volume, type: 'volume' }),
      ({ facts }) => facts['status'] === 'active',
    );
    const { deleted } = await previewAndDelete(client, { type: 'volume', name: volume });
    expect(deleted.facts, deleted.text).toMatchObject({ outcome: 'done', operation: 'delete' });
  },
  stop: async ({ client, run }) => {
    const stopped = await previewAndStop(client, run);
    expect(stopped.facts, stopped.text).toMatchObject({ outcome: 'done', operation: 'stop' });
  },
};

describe.each(KINDS)('with the %s', (kind) => {
  test.each(Object.keys(ROUNDS))('%s works', async (tool) => {
    const stage = stages.get(kind);
    if (stage === undefined) throw new Error(`there is no ${kind}`);
    const era = kind.split(', ')[1];
    expect(stage.client.protocolVersion()).toBe(era);
    await ROUNDS[tool]?.(stage);
  });
});

test('every tool is tested', () => {
  expect(Object.keys(ROUNDS).sort()).toEqual(tools.map(({ name }) => name).sort());
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { Answer, ClientKind, TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const PORT = 8000;
const atEnd = collectEnds(afterAll);
let home: TestHome;
let run: string;

const attachments = z.array(
  z.looseObject({
    id: z.string(),
    run: z.string(),
    state: z.string(),
    sshCommand: z.string().optional(),
    ideLink: z.string().optional(),
    ports: z.array(z.object({ localPort: z.number(), remotePort: z.number() })).optional(),
  }),
);

const attachmentsOf = ({ facts }: Answer): z.output<typeof attachments> => attachments.parse(facts['attachments']);

async function connectOnce(kind?: ClientKind): Promise<TestClient> {
  return connect({ env: home.env, ...(kind === undefined ? {} : { kind }) });
}

/** Attaches, and repeats the call while the instance can't be reached yet. */
async function attach(client: TestClient, input: Readonly<Record<string, unknown>>): Promise<Answer> {
  return until(
    () => client.call('attach', input),
    (answer) => attachmentsOf(answer)[0]?.state !== 'waiting',
  );
}

async function start(configuration: Readonly<Record<string, unknown>>, name: string): Promise<void> {
  atEnd(() => stopRuns(name));
  const client = await connect({ env: home.env, atEnd });
  await home.write(`${name}.dstack.yml`, configuration);
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts['outcome'], applied.text).toBe('done');
  await waitForRun(client, name, 'running');
  await client.close();
}

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  run = uniqueName('attached');
  await start(task(run, { ports: [PORT], commands: ['python -m http.server 8000'] }), run);
});

test('a development environment has a link for its editor, which is shown but not opened', async () => {
  const name = uniqueName('editor');
  const { resources } = task(name);
  await start({ type: 'dev-environment', name, ide: 'vscode', resources }, name);
  const client = await connectOnce(CLIENTS[1]);
  const attached = await attach(client, { run: name });
  const [attachment] = attachmentsOf(attached);
  expect(attachment, attached.text).toMatchObject({ state: 'attached' });
  expect(attachment?.ideLink).toMatch(new RegExp(`^vscode://vscode-remote/ssh-remote\\+${name}/`));
  expect(attached.facts['next']).toMatch(/ask the user whether to open it/);
  await client.call('attach', { action: 'stop', run: name });
});

test('attaching to a finished run is refused, with the tools to use instead', async () => {
  const name = uniqueName('over');
  const client = await connectOnce();
  await home.write(`${name}.dstack.yml`, task(name, { commands: ['exit 1'] }));
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  await client.call('apply', { token: plan.facts['token'] });
  await waitForRun(client, name, 'finished');
  const refused = await client.call('attach', { run: name });
  expect(refused.facts).toMatchObject({ outcome: 'blocked', code: 'finished' });
  expect(refused.text).toContain(`Run ${name} is failed: there is nothing to attach to`);
  expect(refused.facts['next']).toMatch(/logs.*get/);
  const all = attachmentsOf(await client.call('attach', { action: 'list' }));
  expect(all.filter((attachment) => attachment['run'] === name)).toEqual([]);
});

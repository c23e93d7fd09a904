import { execa } from 'execa';
import getPort from 'get-port';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { Answer, ClientKind, TestClient } from '../support/connect.ts';
import { processesIn } from '../support/processes.ts';
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

/** Returns the commands of processes in the home folder, without the server under test and its worker. */
const others = async (client?: TestClient): Promise<readonly string[]> =>
  (await processesIn(home.home))
    .filter(({ pid, command }) => pid !== client?.pid && !command.includes('warm_worker'))
    .map(({ command }) => command);

test('an attachment forwards a port, runs a command over SSH, and outlives the server that created it', async () => {
  const first = await connectOnce();
  const localPort = await getPort({ host: '127.0.0.1' });
  const attached = await attach(first, { run, ports: [`${localPort}:${PORT}`] });
  const [attachment] = attachmentsOf(attached);
  expect(attachment, attached.text).toMatchObject({ state: 'attached', ports: [{ localPort, remotePort: PORT }] });
  expect(attached.text).toContain(`localhost:${localPort} is port ${PORT}`);
  const page = await fetch(`http://127.0.0.1:${localPort}/page`);
  expect(await page.text()).toBe(`hello from ${run} /page\n`);

  const [ssh = '', ...words] = (attachment?.sshCommand ?? '').split(' ');
  expect(attached.text).toContain(attachment?.sshCommand);
  const said = await execa(ssh, ['-o', 'BatchMode=yes', ...words, 'hostname'], { env: home.env, extendEnv: false });
  expect(said.stdout).toContain(run);

  const again = await first.call('attach', { run, ports: [`${localPort}:${PORT}`] });
  expect(attachmentsOf(again)).toMatchObject([{ id: attachment?.id, state: 'attached' }]);

  process.kill(first.pid, 'SIGKILL');
  const second = await connectOnce(CLIENTS[2]);
  const listed = await second.call('attach', { action: 'list' });
  expect(attachmentsOf(listed)).toMatchObject([{ id: attachment?.id, state: 'attached' }]);
  expect((await fetch(`http://127.0.0.1:${localPort}/`)).status).toBe(200);

  const stopped = await second.call('attach', { action: 'stop', run });
  expect(stopped.facts['outcome']).toBe('done');
  expect(stopped.facts['summary']).toMatch(/Detached from .*The run continues/);
  expect((await second.call('get', { name: run })).facts['status']).toBe('running');
  await expect(fetch(`http://127.0.0.1:${localPort}/`)).rejects.toThrow('fetch failed');
  expect(
    await until(
      () => others(second),
      (left) => left.length === 0,
    ),
  ).toEqual([]);
  expect(attachmentsOf(await second.call('attach', { action: 'list' }))).toEqual([]);
  const none = await second.call('attach', { action: 'stop', run });
  expect(none.facts['outcome']).toBe('nothing-to-do');
});

test('a port in use: dstack’s message, and a free mapping', async () => {
  const client = await connectOnce();
  const listener = createServer();
  const port = await getPort({ host: '127.0.0.1' });
  await new Promise<void>((resolve) => {
    listener.listen(port, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    listener.close();
  });
  const refused = await attach(client, { run, ports: [`${port}:${PORT}`] });
  expect(refused.facts['outcome'], refused.text).toBe('failed');
  expect(refused.text).toContain(`port ${port} is already in use`);
  const next = String(refused.facts['next']);
  const mapping = new RegExp(`port mapping "(\\d+:${PORT})"`).exec(next)?.[1] ?? '';
  expect(mapping).not.toBe(`${port}:${PORT}`);
  expect(next).toContain(`The user can run: dstack attach --logs ${run} --port ${mapping}`);

  const attached = await attach(client, { run, ports: [mapping] });
  expect(attachmentsOf(attached)[0]?.state, attached.text).toBe('attached');
  expect((await fetch(`http://127.0.0.1:${mapping.split(':')[0]}/`)).status).toBe(200);
  await client.call('attach', { action: 'stop', run });
});

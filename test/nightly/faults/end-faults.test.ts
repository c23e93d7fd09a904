import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import { processesIn } from '../../support/processes.ts';
import type { Process } from '../../support/processes.ts';
import { INITIALIZE, startRawServer } from '../../support/raw-server.ts';
import type { RawServer } from '../../support/raw-server.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';
import { createFaultyCli } from '../../support/faulty-cli.ts';
import type { FaultyCli } from '../../support/faulty-cli.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import type { FaultyServer } from '../../support/faulty-server.ts';
import { callTool, resultOf } from '../../support/raw-results.ts';

const atEnd = collectEnds(afterAll);

let home: TestHome;
let cli: FaultyCli;
let env: Readonly<Record<string, string>>;
let dstack: FaultyServer;
let name: string;
let file: string;

beforeAll(async () => {
  dstack = await startFaultyServer(inject('sandbox').url, atEnd);
  home = await createTestHome({ url: dstack.url, atEnd });
  cli = await createFaultyCli(home);
  env = { ...home.env, DSTACK_MCP_CLI: cli.cli };
});
beforeEach(async () => {
  dstack.breakWith(undefined);
  name = uniqueName('ended');
  file = await home.write(`${name}.dstack.yml`, task(name));
  return () => stopRuns(name);
});

/** Starts a server whose client can show forms if `forms` is set. */
function start({ forms = false } = {}): RawServer {
  const server = startRawServer(env);
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

test('SIGTERM while it attaches to a run without an instance: the next server shows the attachment and can stop it', async () => {
  const server = start();
  callTool(server, 3, 'apply', { token: await planWith(server) });
  expect(await resultOf(server, 3)).toMatchObject({ outcome: 'done' });
  // As the real one does until there is an instance.
  await cli.breakWith({ words: ['attach'], python: ['import time', 'time.sleep(1_000)'] });
  callTool(server, 4, 'attach', { run: name });
  const attaching = (): Promise<readonly Process[]> =>
    processesIn(home.home).then((found) => found.filter(({ command }) => command.endsWith(`attach --logs ${name}`)));
  await until(attaching, (found) => found.length > 0);
  server.signal('SIGTERM');
  expect(await server.ended).toEqual({ code: 143, signal: null });
  const left = await attaching();
  const next = await connect({ env });
  const listed = (await next.call('attach', { action: 'list' })).facts['attachments'];
  expect(left.length === 0 || JSON.stringify(listed).includes(name)).toBe(true);
  await next.call('attach', { action: 'stop', run: name });
  expect(await attaching()).toEqual([]);
  expect((await next.call('attach', { action: 'list' })).facts['attachments']).toEqual([]);
  expect((await next.call('get', { name })).facts['outcome']).toBe('done');
});

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../support/connect.ts';
import { processesIn } from '../support/processes.ts';
import { nobodyLeft } from '../support/initialized-server.ts';
import { ENDS } from '../support/initialized-server.ts';
import { INITIALIZE, startRawServer } from '../support/raw-server.ts';
import { createRecorder } from '../support/call-recorder.ts';
import { emptyFolder } from '../support/temporary-folders.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { until } from '../support/wait.ts';

/** The maximum number of concurrent dstack processes. */
const MOST_AT_ONCE = 4;

test('six concurrent calls each get the right answer, with only a few dstack processes at a time', async () => {
  const home = await createTestHome();
  const recorder = await createRecorder(home);
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_WARM: 'off' } });
  const name = uniqueName('at-once');
  await home.write(`${name}.dstack.yml`, task(name));
  const calls = [
    ['fleet', { name: 'cloud' }, /^Fleet cloud is active/],
    ['fleet', { name: 'on-prem' }, /^Fleet on-prem is active/],
    ['fleet', { name: 'nosuch' }, /nosuch/],
    ['plan', { file: `${name}.dstack.yml` }, new RegExp(`Create task ${name} `)],
    ['list', { type: 'projects' }, /main/],
    ['help', { command: 'logs' }, /dstack logs/],
  ] as const;
  const answers = await Promise.all(
    calls.map(async ([tool, input, wanted]) => ({
      wanted,
      output: (await client.call(tool, input)).text,
    })),
  );
  expect(answers).toHaveLength(6);
  for (const { wanted, output } of answers) expect(output).toMatch(wanted);
  const most = await recorder.mostAtOnce();
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(MOST_AT_ONCE);
});
// The nightly workflow runs this with spare processes, too, and test/dstack/warm/faults.test.ts ends them in both modes.
test.each(ENDS)('%s leaves no process, warm or running', async (_how, end, code) => {
  const home = await createTestHome();
  const server = startRawServer(home.env);
  server.request(1, 'initialize', INITIALIZE);
  server.request(2, 'tools/call', { name: 'ps', arguments: {} });
  await until(
    () => Promise.resolve(server.messages()),
    (messages) => messages.some(({ id }) => id === 2),
  );
  // These are running while it ends.
  server.request(3, 'tools/call', { name: 'offer', arguments: {} });
  server.request(4, 'tools/call', { name: 'fleet', arguments: {} });
  expect(await processesIn(home.home)).not.toEqual([]);
  end(server);
  expect(await server.ended).toEqual(code);
  await nobodyLeft(home);
});

test('whatever the input, standard output contains only the protocol, and every call of at most 10 MB is answered', async () => {
  const home = await createTestHome();
  const server = startRawServer({ ...home.env, DSTACK_MCP_LOG_LEVEL: 'trace' });
  server.write('this is not JSON\n');
  server.write('{"jsonrpc":"2.0","id":0,"method":\n');
  server.request(1, 'initialize', INITIALIZE);
  server.request(2, 'no/such/method');
  server.request(3, 'tools/call', { name: 'nosuch', arguments: {} });
  server.request(4, 'tools/call', { name: 'ps', arguments: { all: 'yes' } });
  server.request(5, 'tools/call', { name: 'doctor', arguments: {} });
  server.request(7, 'tools/call', { name: 'help', arguments: { command: 'x'.repeat(11_000_000) } });
  // A request in several chunks is one request.
  const request = JSON.stringify({ jsonrpc: '2.0', id: 6, method: 'tools/list', params: {} });
  server.write(request.slice(0, 20));
  await until(
    () => Promise.resolve(server.messages()),
    (messages) => messages.some(({ id }) => id === 5),
  );
  expect(server.messages().some(({ id }) => id === 6)).toBe(false);
  server.write(`${request.slice(20)}\n`);
  const messages = await until(
    () => Promise.resolve(server.messages()),
    (all) => all.some(({ id }) => id === 6),
  );
  for (const id of [1, 2, 3, 4, 5, 6]) expect(messages.filter((message) => message.id === id)).toHaveLength(1);
  expect(messages.filter(({ id }) => id === 2 || id === 7)).toMatchObject([{ id: 2, error: {} }]);
  expect(messages.filter(({ id }) => id === 5 || id === 6).every((message) => 'result' in message)).toBe(true);
  expect(messages.filter(({ id }) => id === null)).toContainEqual({
    jsonrpc: '2.0',
    id: null,
    error: { code: -32_700, message: expect.stringContaining('longer than 10 MB') },
  });
  // A line that never ends is not a message.
  server.write(request.slice(0, 20));
  server.endInput();
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(server.stdout().endsWith('\n')).toBe(true);
});

test.each([
  ['without attachments', false],
  ['with attachments that another server left', true],
])('a server %s that is never called loads its engine: %s', async (_what, leftAttachments) => {
  const { env } = await createTestHome();
  const stateDir = emptyFolder();
  if (leftAttachments) {
    await mkdir(path.join(stateDir, 'attachments'), { mode: 0o700 });
    await writeFile(path.join(stateDir, 'attachments', 'left.json'), '{}', { mode: 0o600 });
  }
  const server = startRawServer({ ...env, DSTACK_MCP_STATE_DIR: stateDir });
  server.request(1, 'initialize', INITIALIZE);
  await until(
    () => Promise.resolve(server.messages()),
    (messages) => messages.length > 0,
  );
  server.endInput();
  expect(await server.ended).toEqual({ code: 0, signal: null });
  // It saves the code of what it has loaded.
  const saved = (await readdir(stateDir)).filter((name) => name.startsWith('code-'));
  expect(saved.some((name) => name.startsWith('code-server-'))).toBe(true);
  expect(saved.some((name) => name.startsWith('code-engine-'))).toBe(leftAttachments);
});

import { execa } from 'execa';
import getPort from 'get-port';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { CLIENTS } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { processesIn } from '../support/processes.ts';
import { until } from '../support/wait.ts';
import { attach, attachmentsOf, PORT, setUpAttach } from '../support/set-up-attach.ts';

const { connectOnce, home, run } = setUpAttach();

/** Returns the commands of processes in the home folder, without the server under test and its warm processes. */
const others = async (client?: TestClient): Promise<readonly string[]> =>
  (await processesIn(home().home))
    .filter(({ pid, command }) => pid !== client?.pid && !/warm_worker|spare_process/.test(command))
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
  const said = await execa(ssh, ['-o', 'BatchMode=yes', ...words, 'hostname'], { env: home().env, extendEnv: false });
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

import { execa } from 'execa';
import getPort from 'get-port';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { CLIENTS } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { processesIn } from '../support/processes.ts';
import { until } from '../support/wait.ts';
import { attach, attachmentsOf, PORT, setUpAttach } from '../support/set-up-attach.ts';

const { client, connectOnce, home, run } = setUpAttach();

/** Returns the commands of processes in the home folder, without the server under test and its warm processes. */
const others = async (client: TestClient): Promise<readonly string[]> =>
  (await processesIn(home().home))
    .filter(({ pid, command }) => pid !== client.pid && !/warm_worker|spare_process/.test(command))
    .map(({ command }) => command);

test('a port in use: dstack’s message, and a free mapping, whose attachment outlives its server and runs commands', async () => {
  const first = client();
  const listener = createServer();
  const port = await getPort({ host: '127.0.0.1' });
  await once(listener.listen(port, '127.0.0.1'), 'listening');
  const refused = await attach(first, { run, ports: [`${port}:${PORT}`] });
  listener.close();
  expect(refused.facts['outcome'], refused.text).toBe('failed');
  expect(refused.text).toContain(`port ${port} is already in use`);
  const next = String(refused.facts['next']);
  const mapping = new RegExp(`port mapping "(\\d+:${PORT})"`).exec(next)?.[1] ?? '';
  const localPort = Number.parseInt(mapping, 10);
  expect(localPort).not.toBe(port);
  expect(next).toContain(`The user can run: dstack attach --logs ${run} --port ${mapping}`);

  const attached = await attach(first, { run, ports: [mapping] });
  const [attachment] = attachmentsOf(attached);
  expect(attachment, attached.text).toMatchObject({ state: 'attached', ports: [{ localPort, remotePort: PORT }] });
  expect(attached.text).toContain(`localhost:${localPort} is port ${PORT}`);
  const page = await fetch(`http://127.0.0.1:${localPort}/page`);
  expect(await page.text()).toBe(`hello from ${run} /page\n`);

  const [ssh = '', ...words] = (attachment?.sshCommand ?? '').split(' ');
  expect(attached.text).toContain(attachment?.sshCommand);
  const said = await execa(ssh, ['-o', 'BatchMode=yes', ...words, 'hostname'], { env: home().env, extendEnv: false });
  expect(said.stdout).toContain(run);

  process.kill(first.pid, 'SIGKILL');
  const second = await connectOnce(CLIENTS[2]);
  const listed = await second.call('attach', { action: 'list' });
  expect(attachmentsOf(listed)).toMatchObject([{ id: attachment?.id, state: 'attached', ports: attachment?.ports }]);
  expect((await fetch(`http://127.0.0.1:${localPort}/`)).status).toBe(200);
  const again = await second.call('attach', { run, ports: [mapping] });
  expect(attachmentsOf(again)).toMatchObject([{ id: attachment?.id, state: 'attached' }]);
  expect((await others(second)).filter((command) => command.includes(' attach --logs'))).toHaveLength(1);

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

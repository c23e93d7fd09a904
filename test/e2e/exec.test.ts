import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findIsolation } from '../../sandbox/machines/isolation.ts';
import { stopRuns } from '../support/ask-server.ts';
import { attachmentsOf } from '../support/set-up-attach.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { agreeing, connect } from '../support/connect.ts';
import type { Answer, AtEnd, TestClient } from '../support/connect.ts';
import { processesIn } from '../support/processes.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const isolation = await findIsolation();

describe.skipIf(isolation.kind === 'none')('exec', () => {
  const atEnd = collectEnds(afterAll);
  const run = uniqueName('exec');
  /** Of the servers that a test starts to end them. Servers in one home share their connections. */
  let home: TestHome;
  /** The home of a server that all other tests use. */
  let shared: TestHome;
  let client: TestClient;
  const prompts: string[] = [];

  /** For a server that runs no command of dstack. */
  const WITHOUT_WORKER = { DSTACK_MCP_WARM: 'off' };

  const openIn = (where: TestHome, more: Record<string, string> = {}, end?: AtEnd): Promise<TestClient> =>
    connect({
      env: { ...where.env, ...more },
      person: (message, field) => {
        prompts.push(message);
        return agreeing(message, field);
      },
      ...(end === undefined ? {} : { atEnd: end }),
    });

  const open = (more: Record<string, string> = {}): Promise<TestClient> => openIn(home, more);

  async function start(name: string): Promise<void> {
    atEnd(() => stopRuns(name));
    const file = await shared.write(
      `${name}.dstack.yml`,
      task(name, { commands: ['sleep infinity'], env: { GREETING: "it's" } }),
    );
    const plan = await client.call('plan', { file });
    const applied = await client.call('apply', { token: plan.facts['token'] });
    expect(applied.facts['outcome'], applied.text).toBe('done');
    await waitForRun(client, name, 'running');
  }

  /** Runs a command, after the consent if that is needed. */
  async function exec(client: TestClient, input: Record<string, unknown>, name = run): Promise<Answer> {
    const first = await client.call('exec', { run: name, ...input });
    const { token } = first.facts;
    return token === undefined ? first : client.call('apply', { token });
  }

  beforeAll(async () => {
    home = await createTestHome({ atEnd });
    shared = await createTestHome({ atEnd });
    client = await openIn(shared, {}, atEnd);
    await start(run);
  });

  test('asks once before the first command in a run, connects only then, and leaves nothing but the attachment of the user', async () => {
    const client = await open();
    const command = 'mkdir /tmp/asked && echo "$DSTACK_RUN_NAME $GREETING $PWD"; exit 3';
    const asked = await client.call('exec', { run, command });
    expect(asked.facts['token'], asked.text).toMatch(new RegExp(`^access-run-${run}`));
    expect(attachmentsOf(await client.call('attach', { action: 'list' }))).toEqual([]);
    prompts.length = 0;
    // Nothing was run before: there is no such folder.
    const done = await client.call('apply', { token: asked.facts['token'] });
    expect(prompts.join('\n')).toContain(`- at once: ${command}`);
    const consent = expect.stringMatching(/^person-form: /);
    expect(done.facts, done.text).toMatchObject({ outcome: 'failed', exitCode: 3, run, consent });
    expect(done.facts['summary']).toMatch(/^Exit code 3 in .* Allowed commands and uploads in run .* until .*\.$/);
    expect(done.facts['output']).toContain(`${run} it's `);
    expect(done.facts['output']).not.toContain('File exists');
    expect(done.facts['output']).toMatch(/untrusted output [0-9a-f]{16}/);
    const again = await client.call('apply', { token: asked.facts['token'] });
    expect(again.facts['summary']).toMatch(/^This token was used before; nothing was done again\. .* Exit code 3 in /);
    expect(again.facts).toMatchObject({ exitCode: 3, durationMs: done.facts['durationMs'] });
    expect((await client.call('exec', { run, command: 'rmdir /tmp/asked' })).facts['exitCode']).toBe(0);
    expect(prompts).toHaveLength(1);
    await client.close();
    const left = await until(
      async () => (await processesIn(home.home)).filter(({ command }) => !command.includes('warm_worker')),
      (all) => all.length === 0,
    );
    expect(left).toEqual([]);

    const next = await open();
    expect(attachmentsOf(await next.call('attach', { action: 'list' }))).toEqual([]);
    await until(
      () => next.call('attach', { run }),
      (answer) => attachmentsOf(answer)[0]?.state === 'attached',
    );
    expect((await exec(next, { command: 'echo up' })).facts['output']).toContain('up');
    await next.close();
    const last = await open(WITHOUT_WORKER);
    expect(attachmentsOf(await last.call('attach', { action: 'list' }))).toMatchObject([{ state: 'attached' }]);
    await last.call('attach', { action: 'stop', run });
  });

  test('passes standard input, a folder and bytes that look like control sequences as data', async () => {
    const done = await exec(client, { command: 'cat; pwd', stdin: 'a\u001b[31mb\n', cwd: '/usr' });
    expect(done.facts, done.text).toMatchObject({ outcome: 'done', exitCode: 0 });
    expect(done.facts['output']).toContain('ab\n/usr');
    expect(done.facts['output']).toContain('1 terminal sequence removed');
  });

  test('ends a command at its timeout, and when the client cancels the call', async () => {
    const late = await exec(client, { command: 'sleep 601; true', timeout: '1s' });
    expect(late.facts, late.text).toMatchObject({ outcome: 'failed', code: 'timed-out' });
    expect(late.facts['next']).toContain('background');
    const stop = new AbortController();
    const cancelled = client.call('exec', { run, command: 'touch /tmp/up; sleep 602; true' }, { signal: stop.signal });
    cancelled.catch(() => undefined);
    await until(
      () => exec(client, { command: 'test -e /tmp/up' }),
      ({ facts }) => facts['exitCode'] === 0,
    );
    stop.abort();
    await expect(cancelled).rejects.toThrow(/abort/i);
    const find = 'cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "sleep 60[1]\\|sleep 60[2]"';
    await until(
      () => exec(client, { command: find }),
      ({ facts }) => facts['exitCode'] === 1,
    );
  });

  test('follows a background command by another server, and stops it', async () => {
    const first = await openIn(shared);
    const started = await exec(first, { command: 'echo one; sleep 603', background: true });
    const id = started.facts['id'];
    expect(String(id), started.text).toMatch(/^[0-9a-f]{8}$/);
    process.kill(first.pid, 'SIGKILL');
    const page = await until(
      () => client.call('exec', { run, action: 'output', id }),
      ({ facts }) => String(facts['output']).includes('one'),
    );
    expect(page.facts).toMatchObject({ state: 'running', id });
    const rest = await client.call('exec', { run, action: 'output', id, cursor: page.facts['newer'] });
    expect(rest.facts['output']).not.toContain('one\n');
    const listed = await client.call('exec', { run, action: 'list' });
    expect(listed.facts['jobs']).toContainEqual(expect.objectContaining({ id, state: 'running' }));
    const stopped = await client.call('exec', { run, action: 'stop', id });
    expect(stopped.facts, stopped.text).toMatchObject({ outcome: 'done', state: 'ended' });
    expect((await client.call('exec', { run, action: 'output', id })).facts['state']).toBe('ended');
    const unknown = await client.call('exec', { run, action: 'output', id: '00000000' });
    expect(unknown.facts).toMatchObject({ outcome: 'refused', code: 'invalid-name' });
  });

  test('keeps its connection while another server uses it; a killed server’s command and the last connection are ended', async () => {
    const [first, second] = [await open(), await open()];
    await exec(first, { command: 'true' });
    const running = exec(second, { command: 'until [ -e /tmp/go ]; do sleep 0.1; done; echo went' });
    await until(
      () => exec(second, { command: 'true' }),
      ({ facts }) => facts['exitCode'] === 0,
    );
    await first.close();
    const third = await open();
    await exec(third, { command: 'touch /tmp/go' });
    expect((await running).facts['output']).toContain('went');

    second.call('exec', { run, command: 'touch /tmp/killed; sleep 605; true' }).catch(() => undefined);
    await until(
      () => exec(third, { command: 'test -e /tmp/killed' }),
      ({ facts }) => facts['exitCode'] === 0,
    );
    process.kill(second.pid, 'SIGKILL');
    await until(
      () => exec(third, { command: 'cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -c "sleep 60[5]"' }),
      ({ facts }) => facts['exitCode'] === 1,
    );
    expect(attachmentsOf(await third.call('attach', { action: 'list' }))).toHaveLength(1);
    process.kill(third.pid, 'SIGKILL');
    const next = await open(WITHOUT_WORKER);
    await until(
      () => next.call('attach', { action: 'list' }),
      (answer) => attachmentsOf(answer).length === 0,
    );
    const left = await until(
      async () => (await processesIn(home.home)).filter(({ command }) => command.includes('ssh')),
      (all) => all.length === 0,
    );
    expect(left).toEqual([]);
  });

  test('asks again after the consent was revoked', async () => {
    await exec(client, { command: 'true' });
    const revoked = await client.call('exec', { run, action: 'revoke' });
    expect(revoked.facts['outcome'], revoked.text).toBe('done');
    expect((await client.call('exec', { run, command: 'true' })).facts['token']).toBeDefined();
  });

  test('is refused by a read-only server, and changes nothing with arguments that it doesn’t take', async () => {
    const readOnly = await openIn(shared, { ...WITHOUT_WORKER, DSTACK_MCP_READ_ONLY: 'true' });
    const refused = await readOnly.call('exec', { run, command: 'true' });
    expect(refused.facts, refused.text).toMatchObject({ outcome: 'refused', code: 'read-only' });
    for (const input of [
      {},
      { command: 'a\0b' },
      { command: 'true', id: '00000000' },
      { action: 'stop' },
      { command: 'true', timeout: 'soon' },
      { command: 'true', timeout: '5s', background: true },
    ]) {
      const answer = await client.call('exec', { run, ...input });
      expect(answer.facts, JSON.stringify(input)).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
    }
  });

  test('reports a command as unknown if its run is stopped meanwhile, and does not run it again', async () => {
    const name = uniqueName('stopped');
    await start(name);
    await exec(client, { command: 'true' }, name);
    const running = exec(client, { command: 'touch /tmp/up; sleep 604' }, name);
    await until(
      () => exec(client, { command: 'test -e /tmp/up' }, name),
      ({ facts }) => facts['exitCode'] === 0,
    );
    await stopRuns(name);
    const { facts, text } = await running;
    expect(facts, text).toMatchObject({ outcome: 'unknown', code: 'connection-lost' });
    expect(text).not.toContain('Exit code');
    const again = await client.call('exec', { run: name, command: 'true' });
    expect(again.facts['outcome'], again.text).toMatch(/blocked|failed|refused/);
  });
});

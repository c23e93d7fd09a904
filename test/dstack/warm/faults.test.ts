import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckedArgv } from '../../../src/dstack/argv/command.ts';
import { UNREADABLE } from '../../../src/dstack/run/wire-events.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { bundleProgram } from '../../support/bundle-program.ts';
import { childrenOf, isRunning, makeFakeDstack, until, untilGone } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, consentTo, makeWarmRunner, workerPid } from '../../support/warm-test-runner.ts';
import type { TestRunnerOptions } from '../../support/warm-test-runner.ts';
import { fixture } from '../../support/paths.ts';

const LONG = 60_000;
/** Short enough to wait for, long enough for a machine that is busy with other tests. */
const IMPATIENT = { handOverMs: 3_000, silenceMs: 1_000 };
const ANSWER = { stdout: 'the answer to ps\n', stderr: '', exit: { kind: 'exited', code: 0 } };

let ps: CheckedArgv<'read'>;
let apply: CheckedArgv<'change'>;
let program: string;
let fake: FakeDstack;
let runners: WarmRunner[] = [];
let servers: ChildProcess[] = [];

beforeAll(async () => {
  ps = await checked({ command: 'ps' }, 'read');
  const flags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;
  apply = await checked({ command: 'apply', flags }, 'change');
  program = await bundleProgram(fixture('warm', 'server.ts'));
});
beforeEach(async () => {
  fake = await makeFakeDstack();
});
afterEach(async () => {
  await Promise.all(runners.map((runner) => runner.close()));
  for (const server of servers) server.kill('SIGKILL');
  runners = [];
  servers = [];
  for (const { pid } of await fake.journal()) if (await isRunning(pid)) process.kill(pid, 'SIGKILL');
  await fake.remove();
});

/** Starts a runner that is ready and has a process that waits for a command. */
async function startReady(options: Partial<TestRunnerOptions> = {}): Promise<WarmRunner> {
  const runner = makeWarmRunner({ executable: fake.executable, ...options });
  runners.push(runner);
  expect(await runner.read(ps, { timeoutMs: LONG })).toMatchObject({ ...ANSWER, ran: 'warm' });
  await (options.mode === 'spare' ? idleSpare(runner) : parkedChild(runner));
  return runner;
}

test.each(['on', 'spare', 'off'] as const)(
  'a read that reports in something else than JSON has failed, and its server goes on (%s)',
  async (mode) => {
    const runner = makeWarmRunner({ executable: fake.executable, mode });
    runners.push(runner);
    const env = fake.env('report_nonsense', { FAKE_SERVER: 'http://127.0.0.1:1', FAKE_EVENT: 'denied' });
    const wire = { server: null, project: null, handOver: false, asks: false };
    expect(await runner.read(ps, { timeoutMs: LONG, env, wire })).toMatchObject({ exit: UNREADABLE, ran: 'plain' });
    expect(await runner.read(ps, { timeoutMs: LONG })).toMatchObject(ANSWER);
  },
);

/** Returns the only child of an idle worker once it is parked. */
async function parkedChild(runner: WarmRunner): Promise<number> {
  let parked: number | undefined;
  await until(async () => {
    const children = await childrenOf(workerPid(runner));
    [parked] = children;
    return children.length === 1;
  });
  return parked ?? 0;
}

/** Returns the spare process that waits for the next command. */
async function idleSpare(runner: WarmRunner): Promise<number> {
  await until(() => runner.state().pids?.length === 1);
  return workerPid(runner);
}

/** Starts a process with a warm runner. Returns the parent of its warm processes once it is ready: the worker, or with spares itself. */
async function startServer(
  mode: 'on' | 'spare',
  run: { read?: object; change?: object },
): Promise<{ server: ChildProcess; worker: number }> {
  const argument = JSON.stringify({ executable: fake.executable, mode, folder: fake.folder, ...run });
  const server = spawn(process.execPath, [program, argument], { stdio: ['pipe', 'pipe', 'inherit'] });
  servers.push(server);
  const [line] = await once(server.stdout, 'data');
  return { server, worker: Number(String(line)) };
}

/** Resumes a stopped process, if it still exists. */
function resume(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // It was killed, as one that doesn't answer is.
  }
}

describe.each(['on', 'spare'] as const)('with DSTACK_MCP_WARM=%s, a process that is killed', (mode) => {
  const waitingProcess = (runner: WarmRunner): Promise<number> =>
    mode === 'on' ? parkedChild(runner) : idleSpare(runner);

  test('while it waits for a command: the next command gets another one', async () => {
    const runner = await startReady({ mode });
    const parked = await waitingProcess(runner);
    process.kill(parked, 'SIGKILL');
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'warm' });
    await untilGone(parked);
    expect(await fake.count('ran')).toBe(1);
  });

  test('after it was stopped and handed a command: a plain process answers, and it never runs it', async () => {
    const runner = await startReady({ mode, limits: { handOverMs: 2_000 } });
    const parked = await waitingProcess(runner);
    process.kill(parked, 'SIGSTOP');
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'plain' });
    await untilGone(parked);
    expect(await fake.count('ran')).toBe(1);
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
  });

  test('after it got a change, before it may run: reports that nothing was changed', async () => {
    const onSpent = (): void => void process.kill(held, 'SIGKILL');
    const runner = await startReady({ mode, onSpent });
    const held = await waitingProcess(runner);
    const result = await runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env() });
    // Killed before or just as it was to run: never an answer, and never a second attempt.
    expect(['not-started', 'signalled']).toContain(result.exit.kind);
    expect(result.stdout).toBe('');
    expect(await fake.count('ended')).toBe(0);
    expect(await fake.count('ran')).toBeLessThanOrEqual(1);
  });

  test('while it runs: its output is kept, with the signal', async () => {
    const runner = await startReady({ mode });
    const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('hang') });
    process.kill((await fake.noted('hangs')).pid, 'SIGKILL');
    expect(await running).toMatchObject({
      stdout: 'before it hangs\n',
      exit: { kind: 'signalled', signal: 'SIGKILL' },
      ran: 'warm',
    });
    expect(await fake.count('ran')).toBe(1);
  });

  test('in the middle of writing 6 MB: all its output is kept', async () => {
    const runner = await startReady({ mode, limits: { keepBytes: 20_000_000 } });
    const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('write_and_hang', { FAKE_PIECES: '96' }) });
    process.kill((await fake.noted('hangs')).pid, 'SIGKILL');
    const { stdout, exit } = await running;
    expect(stdout).toBe(`${`${'0123456789abcdef'.repeat(4096)}\n`.repeat(96)}before it hangs\n`);
    expect(exit).toEqual({ kind: 'signalled', signal: 'SIGKILL' });
  });

  test('by its own signal right after writing: its output is kept', async () => {
    const runner = await startReady({ mode });
    const result = await runner.read(ps, { timeoutMs: LONG, env: fake.env('kill_itself') });
    expect(result).toMatchObject({ stdout: 'then it dies\n', exit: { kind: 'signalled', signal: 'SIGKILL' } });
    expect(await fake.count('ran')).toBe(1);
  });
});

describe('a worker that is killed', () => {
  test('while it is idle: the next command starts another', async () => {
    const runner = await startReady();
    const worker = workerPid(runner);
    const parked = await parkedChild(runner);
    process.kill(worker, 'SIGKILL');
    await untilGone(worker);
    await untilGone(parked);
    await until(() => runner.state().kind !== 'ready');
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'warm' });
    expect(workerPid(runner)).not.toBe(worker);
  });

  test('while it runs a read: the read runs again in a plain process and is answered once', async () => {
    const runner = await startReady();
    const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('wait_for_leave') });
    const { pid } = await fake.noted('waits');
    process.kill(workerPid(runner), 'SIGKILL');
    await untilGone(pid);
    await until(async () => (await fake.count('waits')) === 2);
    await fake.giveLeave();
    expect(await running).toMatchObject({ stdout: 'waiting\ndone\n', exit: { kind: 'exited', code: 0 }, ran: 'plain' });
    expect(await fake.count('done')).toBe(1);
  });

  test('while it runs a change: the change is reported as lost and never repeated', async () => {
    const runner = await startReady();
    const running = runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env('wait_for_leave') });
    await fake.noted('waits');
    process.kill(workerPid(runner), 'SIGKILL');
    const { exit } = await running;
    expect(exit).toMatchObject({ kind: 'lost', reason: expect.stringContaining('SIGKILL') });
    await fake.giveLeave();
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
    expect(await fake.count('waits')).toBe(1);
  });

  test('after a child got a change, before it may run: the change never runs', async () => {
    const onSpent = (): void => void process.kill(workerPid(runner), 'SIGKILL');
    const runner = await startReady({ onSpent });
    const parked = await parkedChild(runner);
    const { exit } = await runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env() });
    expect(exit.kind).toBe('lost');
    await untilGone(parked);
    expect(await fake.count('ran')).toBe(0);
  });

  test('repeatedly: it is given up, and every command is still answered', async () => {
    const runner = await startReady({ limits: { maxDeaths: 3 } });
    for (let death = 1; death <= 3; death++) {
      process.kill(workerPid(runner), 'SIGKILL');
      await until(() => runner.state().kind !== 'ready');
      const ran = death < 3 ? 'warm' : 'plain';
      expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran });
    }
    expect(runner.state()).toMatchObject({ kind: 'given-up', why: expect.stringContaining('SIGKILL') });
    expect(await fake.count('ran')).toBe(3);
  });
});

describe('a worker that is stopped', () => {
  test('before a command: a plain process answers, and the worker never runs it', async () => {
    const runner = await startReady({ limits: IMPATIENT });
    const worker = workerPid(runner);
    process.kill(worker, 'SIGSTOP');
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'plain' });
    await untilGone(worker);
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'warm' });
    expect(await fake.count('ran')).toBe(2);
  });

  test('before a change: a plain process runs it once, with the same consent', async () => {
    const runner = await startReady({ limits: IMPATIENT });
    const worker = workerPid(runner);
    process.kill(worker, 'SIGSTOP');
    const result = await runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env() });
    expect(result).toMatchObject({ exit: { kind: 'exited', code: 0 }, ran: 'plain' });
    resume(worker);
    await untilGone(worker);
    expect(await fake.count('ran')).toBe(1);
  });

  test('while it runs a read: the read runs again in a plain process', async () => {
    const runner = await startReady({ limits: IMPATIENT });
    const worker = workerPid(runner);
    const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('wait_for_leave') });
    await fake.noted('waits');
    process.kill(worker, 'SIGSTOP');
    await until(async () => (await fake.count('waits')) === 2);
    await fake.giveLeave();
    expect(await running).toMatchObject({ stdout: 'waiting\ndone\n', ran: 'plain' });
    await untilGone(worker);
  });

  test('while it runs a change: the change finishes, is never repeated, and other commands get another worker', async () => {
    const runner = await startReady({ limits: IMPATIENT });
    const worker = workerPid(runner);
    const running = runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env('wait_for_leave') });
    await fake.noted('waits');
    process.kill(worker, 'SIGSTOP');
    await until(() => runner.state().kind !== 'ready');
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
    await fake.giveLeave();
    await fake.noted('done');
    process.kill(worker, 'SIGCONT');
    expect(await running).toMatchObject({ stdout: 'waiting\ndone\n', exit: { kind: 'exited', code: 0 }, ran: 'warm' });
    await untilGone(worker);
    expect(await fake.count('done')).toBe(1);
  });

  test('when its server is killed: no process is left', async () => {
    const { server, worker } = await startServer('on', { read: fake.env('hang') });
    await fake.noted('hangs');
    const children = await childrenOf(worker);
    process.kill(worker, 'SIGSTOP');
    server.kill('SIGKILL');
    for (const pid of [worker, ...children]) await untilGone(pid);
    expect(await fake.count('ended')).toBe(0);
  });
});

describe('a worker without resources', () => {
  const limit = (pid: number, what: string): Promise<unknown> => execa('prlimit', ['--pid', String(pid), what]);

  test('for memory: a plain process answers', async () => {
    const runner = await startReady();
    await limit(workerPid(runner), `--as=${64 << 20}`);
    // The parked child already has its own limits; the next ones inherit the new one.
    await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
    for (let call = 2; call <= 4; call++) {
      expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject(ANSWER);
      expect(await fake.count('ran')).toBe(call);
    }
    expect(Object.keys(runner.state().plainCommands).length).toBeGreaterThan(0);
  });

  test('for descriptors: a plain process answers', async () => {
    const runner = await startReady();
    await limit(workerPid(runner), '--nofile=10');
    await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
    for (let call = 2; call <= 4; call++) {
      expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'plain' });
      expect(await fake.count('ran')).toBe(call);
    }
    expect(Object.keys(runner.state().plainCommands).join()).toMatch(/open files|descriptors/);
  });

  test('from its start (ulimit -v): it is given up, and plain processes answer', async () => {
    const interpreter = path.join(fake.folder, 'limited-python');
    await writeFile(interpreter, `#!/bin/sh\nulimit -v 30000\nexec ${fake.executable.interpreter} "$@"\n`, {
      mode: 0o755,
    });
    const runner = makeWarmRunner({ executable: { ...fake.executable, interpreter }, limits: { maxDeaths: 2 } });
    runners.push(runner);
    for (let call = 1; call <= 3; call++) {
      expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ...ANSWER, ran: 'plain' });
    }
    expect(runner.state().kind).toBe('given-up');
    expect(await fake.count('ran')).toBe(3);
  });
});

describe.each(['on', 'spare'] as const)('with DSTACK_MCP_WARM=%s, a server that ends', (mode) => {
  test('by SIGKILL: every warm process is gone, waiting or running', async () => {
    const { server, worker } = await startServer(mode, { read: fake.env('hang') });
    await fake.noted('hangs');
    await until(async () => (await childrenOf(worker)).length >= 2);
    const children = await childrenOf(worker);
    server.kill('SIGKILL');
    for (const pid of [worker, ...children]) await untilGone(pid);
    expect(await fake.count('ended')).toBe(0);
  });

  test('by SIGKILL while a change runs: the change finishes once, then no process is left', async () => {
    const { server, worker } = await startServer(mode, { change: fake.env('wait_for_leave') });
    const { pid } = await fake.noted('waits');
    server.kill('SIGKILL');
    await once(server, 'exit');
    if (mode === 'on') await until(async () => (await childrenOf(worker)).length === 1);
    expect(await isRunning(pid)).toBe(true);
    await fake.giveLeave();
    await fake.noted('ended');
    for (const each of [worker, pid]) await untilGone(each);
    expect(await fake.count('done')).toBe(1);
  });

  test('normally while a change runs: it does not wait, and the change finishes', async () => {
    const { server, worker } = await startServer(mode, { change: fake.env('wait_for_leave') });
    const { pid } = await fake.noted('waits');
    server.stdin?.write('end\n');
    expect((await once(server, 'exit'))[0]).toBe(0);
    expect(await isRunning(pid)).toBe(true);
    await fake.giveLeave();
    await fake.noted('ended');
    for (const each of [worker, pid]) await untilGone(each);
  });
});

import { readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckedArgv } from '../../../src/dstack/argv/command.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { childrenOf, isRunning, makeFakeDstack, until, untilGone } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, consentTo, makeWarmRunner, workerPid } from '../../support/warm-test-runner.ts';
import type { TestRunnerOptions } from '../../support/warm-test-runner.ts';

const LONG = 60_000;
let ps: CheckedArgv<'read'>;
let plan: CheckedArgv<'read'>;
let apply: CheckedArgv<'change'>;
let stop: CheckedArgv<'change'>;
let attach: CheckedArgv<'change'>;
let fake: FakeDstack;
let runners: WarmRunner[] = [];

beforeAll(async () => {
  ps = await checked({ command: 'ps' }, 'read');
  plan = await checked({ command: 'apply', flags: { '--file': 'x.dstack.yml' } }, 'read');
  const flags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;
  apply = await checked({ command: 'apply', flags }, 'change');
  stop = await checked({ command: 'stop', flags: { '--yes': true }, positionals: ['my-run'] }, 'change');
  attach = await checked({ command: 'attach', positionals: ['my-run'] }, 'change');
});
beforeEach(async () => {
  fake = await makeFakeDstack();
});
afterEach(async () => {
  await Promise.all(runners.map((runner) => runner.close()));
  runners = [];
  await fake.remove();
});

function startRunner(options: Partial<TestRunnerOptions> = {}): WarmRunner {
  const runner = makeWarmRunner({ executable: fake.executable, ...options });
  runners.push(runner);
  return runner;
}

const baseEnv = (): Record<string, string> => ({ PATH: process.env['PATH'] ?? '', HOME: fake.folder });

/** Both ways to keep dstack warm answer alike. */
describe.each(['on', 'spare'] as const)('with DSTACK_MCP_WARM=%s', (mode) => {
  const start = (options: Partial<TestRunnerOptions> = {}): WarmRunner => startRunner({ mode, ...options });

  describe('a warm command', () => {
    test('returns its output', async () => {
      const runner = start();
      const first = await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
      const second = await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
      expect(first).toMatchObject({
        command: 'dstack ps',
        stdout: 'the answer to ps\n',
        exit: { kind: 'exited', code: 0 },
        ran: 'warm',
      });
      expect(second).toMatchObject({ stdout: 'the answer to ps\n', ran: 'warm' });
      expect(await fake.count('ran')).toBe(2);
      expect(runner.state()).toMatchObject({ kind: 'ready', warmCommands: 2, plainCommands: {} });
    });

    test('has the requested working directory and variables, and a new session', async () => {
      const { stdout } = await start().read(ps, {
        timeoutMs: LONG,
        cwd: '/usr',
        env: fake.env('show_place', { FAKE_WORD: 'wörd' }),
      });
      const [place, word, pid, session] = stdout.trim().split(' ');
      expect([place, word]).toEqual(['/usr', 'wörd']);
      expect(session).toBe(pid);
    });

    test('inherits no descriptor but its streams, and leaves no other one to what it starts', async () => {
      const { stdout } = await start().read(ps, { timeoutMs: LONG, env: fake.env('show_descriptors') });
      const [opened, inheritable] = JSON.parse(stdout);
      // A spare process keeps the pipes that connect it to the server. Higher ones are what this process itself was started with.
      const low = (fds: readonly number[]): number[] => fds.filter((fd) => fd < 10);
      expect(low(opened)).toEqual(mode === 'spare' ? [3, 4] : []);
      expect(low(inheritable)).toEqual([]);
    });

    test('gets the answer n on standard input, or an empty input', async () => {
      const runner = start();
      const options = { timeoutMs: LONG, env: fake.env('echo_input') };
      expect((await runner.read(plan, { ...options, answer: 'n' })).stdout).toBe('n\n');
      expect((await runner.read(plan, options)).stdout).toBe('');
    });

    test('returns 3 MB of output completely', async () => {
      const { stdout, omittedBytes } = await start().read(ps, {
        timeoutMs: LONG,
        env: fake.env('flood', { FAKE_PIECES: '48' }),
      });
      expect(stdout).toBe(`${'0123456789abcdef'.repeat(4096)}\n`.repeat(48));
      expect(omittedBytes).toBe(0);
    });

    test('with excessive output is cut in the middle, in bounded memory', async () => {
      const runner = start({ limits: { keepBytes: 100_000 } });
      const { stdout, omittedBytes } = await runner.read(ps, {
        timeoutMs: LONG,
        env: fake.env('flood', { FAKE_PIECES: '1000' }),
      });
      expect(omittedBytes).toBeGreaterThan(65_000_000);
      expect(stdout.length).toBeLessThan(101_000);
    });

    test('reads the pinned bytes, not the file on disk', async () => {
      const file = path.join(fake.folder, 'x.dstack.yml');
      await writeFile(file, 'on the disk');
      const pinnedFile = { path: file, bytes: Buffer.from('apprövéd '.repeat(300_000)) };
      const show = await checked({ command: 'apply', flags: { '--file': file } }, 'read');
      const result = await start().read(show, {
        timeoutMs: LONG,
        cwd: fake.folder,
        env: fake.env('read_file'),
        pinnedFile,
      });
      expect(result.stdout).toBe(`${'apprövéd '.repeat(300_000)}\n`);
      expect(result.pinning).toBe('held');
    });

    test('ends although a process that it left behind keeps its output open', async () => {
      const result = await start().read(ps, { timeoutMs: LONG, env: fake.env('leave_a_holder') });
      expect(result).toMatchObject({ stdout: 'the holder stays\n', exit: { kind: 'exited', code: 0 }, ran: 'warm' });
      const holder = (await fake.noted(/^holder-/)).word.slice('holder-'.length);
      process.kill(Number(holder), 'SIGKILL');
    });

    test('prints the output of imports, like a plain process', async () => {
      const env = { ...baseEnv(), FAKE_IMPORT: 'prints' };
      const result = await start({ env }).read(ps, { timeoutMs: LONG, env: fake.env() });
      expect(result).toMatchObject({ stderr: 'a line of an import\n', stdout: 'the answer to ps\n', ran: 'warm' });
    });
  });

  describe('a command falls back to a plain process', () => {
    const plainly = async (runner: WarmRunner, env = fake.env()): Promise<void> => {
      const result = await runner.read(ps, { timeoutMs: LONG, env });
      expect(result).toMatchObject({ stdout: 'the answer to ps\n', exit: { kind: 'exited', code: 0 }, ran: 'plain' });
      expect(await fake.count('ran')).toBe(1);
    };

    test('if the worker is turned off', async () => {
      const runner = startRunner({ mode: 'off' });
      await plainly(runner);
      expect(runner.state()).toMatchObject({ kind: 'off', plainCommands: { 'it is turned off': 1 } });
    });

    test('if the executable is not a Python script', async () => {
      const { path: file, tried } = fake.executable;
      const runner = start({ executable: { path: file, tried } });
      await plainly(runner);
      expect(runner.state().why).toMatch(/^no Python script is known: /);
    });

    test('if a variable that is read on import differs, and reports which', async () => {
      const runner = start();
      await plainly(runner, fake.env('answer', { FAKE_IMPORT: 'something' }));
      expect(runner.state().plainCommands).toEqual({ 'FAKE_IMPORT is read on import': 1 });
    });

    test('if it blocks, like attach', async () => {
      const runner = start();
      const result = await runner.change(attach, consentTo(attach), { timeoutMs: LONG, env: fake.env() });
      expect(result).toMatchObject({ stdout: 'the answer to attach my-run\n', ran: 'plain' });
      expect(await fake.count('ran')).toBe(1);
    });

    test('if the working directory is missing, which the plain process reports', async () => {
      const result = await start().read(ps, { timeoutMs: LONG, cwd: '/nowhere', env: fake.env() });
      expect(result).toMatchObject({ exit: { kind: 'not-started' }, ran: 'plain' });
      expect(await fake.count('ran')).toBe(0);
    });
  });

  describe('a change', () => {
    test('runs once and spends its consent', async () => {
      const runner = start();
      const consent = consentTo(apply);
      const result = await runner.change(apply, consent, { timeoutMs: LONG, env: fake.env() });
      expect(result).toMatchObject({ exit: { kind: 'exited', code: 0 }, ran: 'warm' });
      await expect(runner.change(apply, consent, { timeoutMs: LONG, env: fake.env() })).rejects.toMatchObject({
        code: 'consent-missing',
      });
      expect(await fake.count('ran')).toBe(1);
    });

    test('without a consent, or with one for another argv, never runs', async () => {
      const runner = start();
      await expect(runner.change(apply, consentTo(stop), { timeoutMs: LONG, env: fake.env() })).rejects.toMatchObject({
        code: 'consent-missing',
      });
      // The child that held the request is gone, and the next command finds another.
      expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
      expect(await fake.count('ran')).toBe(1);
    });

    test('that falls back spends its consent once, in the plain process', async () => {
      const runner = startRunner({ mode: 'off' });
      const consent = consentTo(apply);
      await runner.change(apply, consent, { timeoutMs: LONG, env: fake.env() });
      await expect(runner.change(apply, consent, { timeoutMs: LONG, env: fake.env() })).rejects.toMatchObject({
        code: 'consent-missing',
      });
      expect(await fake.count('ran')).toBe(1);
    });

    test('that was canceled before it ran does not spend its consent', async () => {
      const runner = start();
      const consent = consentTo(apply);
      const cancelled = await runner.change(apply, consent, {
        timeoutMs: LONG,
        env: fake.env(),
        signal: AbortSignal.abort(),
      });
      expect(cancelled.exit).toEqual({ kind: 'cancelled' });
      expect(await fake.count('ran')).toBe(0);
      const result = await runner.change(apply, consent, { timeoutMs: LONG, env: fake.env() });
      expect(result.exit).toEqual({ kind: 'exited', code: 0 });
    });

    test('an apply past its deadline continues in the background', async () => {
      const runner = start();
      await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
      const abort = new AbortController();
      const running = runner.change(apply, consentTo(apply), {
        timeoutMs: LONG,
        env: fake.env('wait_for_leave'),
        signal: abort.signal,
      });
      await fake.noted('waits');
      abort.abort();
      // What it printed last may still be on its way, and isn't waited for.
      expect(await running).toMatchObject({ exit: { kind: 'timed-out', stillRunning: true } });
      await fake.giveLeave();
      await fake.noted('done');
      expect(await fake.count('done')).toBe(1);
    });

    test('a stop past its deadline is ended with its group', async () => {
      const runner = start();
      const abort = new AbortController();
      const running = runner.change(stop, consentTo(stop), {
        timeoutMs: LONG,
        env: fake.env('hang_with_grandchild'),
        signal: abort.signal,
      });
      const grandchild = await fake.noted(/^grandchild-/);
      await fake.noted('hangs');
      abort.abort();
      expect((await running).exit).toEqual({ kind: 'cancelled' });
      await untilGone(Number(grandchild.word.slice('grandchild-'.length)));
      await untilGone(grandchild.pid);
    });
  });

  describe('a deadline or a cancellation', () => {
    test('ends a read with everything it started, and returns its output', async () => {
      const runner = start();
      const abort = new AbortController();
      const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('hang_with_grandchild'), signal: abort.signal });
      const grandchild = await fake.noted(/^grandchild-/);
      await fake.noted('hangs');
      abort.abort();
      expect(await running).toMatchObject({ stdout: 'before it hangs\n', exit: { kind: 'cancelled' }, ran: 'warm' });
      await untilGone(grandchild.pid);
      await untilGone(Number(grandchild.word.slice('grandchild-'.length)));
    });

    test('kills a read that ignores SIGTERM', async () => {
      const runner = start();
      await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
      const result = await runner.read(ps, { timeoutMs: 4_000, env: fake.env('ignore_termination') });
      expect(result.exit).toEqual({ kind: 'timed-out', stillRunning: false });
      await untilGone((await fake.noted('hangs')).pid);
    });

    test('keeps a queued command from running', async () => {
      const runner = start({ limits: { maxConcurrent: 1 } });
      const first = runner.read(ps, { timeoutMs: LONG, env: fake.env('wait_for_leave') });
      await fake.noted('waits');
      const abort = new AbortController();
      const cancelled = runner.read(ps, { timeoutMs: LONG, env: fake.env(), signal: abort.signal });
      const late = runner.read(ps, { timeoutMs: 100, env: fake.env() });
      expect(await late).toMatchObject({
        exit: { kind: 'not-started', reason: 'timed out waiting for other dstack commands' },
      });
      abort.abort();
      expect((await cancelled).exit).toEqual({ kind: 'cancelled' });
      await fake.giveLeave();
      expect((await first).stdout).toBe('waiting\ndone\n');
      expect(await fake.count('ran')).toBe(1);
    });
  });

  describe('the queue', () => {
    test('limits concurrency and answers every command', async () => {
      const runner = start({ limits: { maxConcurrent: 2 } });
      const answers = await Promise.all(
        Array.from({ length: 5 }, async (_, index) => {
          const env = fake.env('show_place', { FAKE_WORD: `call-${index}` });
          return (await runner.read(ps, { timeoutMs: LONG, env })).stdout.split(' ')[1];
        }),
      );
      expect(answers).toEqual(Array.from({ length: 5 }, (_, index) => `call-${index}`));
    });

    test('is bounded: one more command is rejected as busy', async () => {
      const runner = start({ limits: { maxConcurrent: 1, maxQueued: 1 } });
      const first = runner.read(ps, { timeoutMs: LONG, env: fake.env('wait_for_leave') });
      await fake.noted('waits');
      // Whichever comes second to the queue finds it full.
      const others = [1, 2].map(() => runner.read(ps, { timeoutMs: LONG, env: fake.env() }));
      await expect(Promise.all(others)).rejects.toMatchObject({ code: 'busy' });
      await fake.giveLeave();
      expect((await first).stdout).toBe('waiting\ndone\n');
      const ends = await Promise.allSettled(others);
      expect(ends.map((end) => (end.status === 'fulfilled' ? end.value.stdout : 'busy')).toSorted()).toEqual([
        'busy',
        'the answer to ps\n',
      ]);
    });
  });
});

describe('the worker', () => {
  test('is not used if an import starts a thread', async () => {
    const runner = startRunner({ env: { ...baseEnv(), FAKE_IMPORT: 'thread' } });
    expect(await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).toMatchObject({ ran: 'plain' });
    expect(runner.state()).toMatchObject({
      kind: 'off',
      why: 'an import started a thread, which a forked child would lack',
    });
  });

  test('is started once for concurrent calls', async () => {
    const runner = startRunner();
    runner.warmUp();
    const results = await Promise.all([1, 2, 3].map(() => runner.read(ps, { timeoutMs: LONG, env: fake.env() })));
    expect(results.map(({ ran }) => ran)).toEqual(['warm', 'warm', 'warm']);
    const workers = await childrenOf(process.pid);
    expect(workers.filter((pid) => pid === workerPid(runner))).toHaveLength(1);
  });

  test('does not delay a command if it starts slowly', async () => {
    const runner = startRunner({ limits: { patienceMs: 1 } });
    const result = await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
    expect(result).toMatchObject({ stdout: 'the answer to ps\n', ran: 'plain' });
    await until(() => runner.state().kind === 'ready');
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
  });

  test('ends when idle, and the next command starts it again', async () => {
    const runner = startRunner({ limits: { idleMs: 200 } });
    await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
    const pid = workerPid(runner);
    await untilGone(pid);
    await until(() => runner.state().kind === 'idle');
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran).toBe('warm');
    expect(workerPid(runner)).not.toBe(pid);
  });

  test('restarts when dstack is upgraded, and lets running commands finish', async () => {
    const runner = startRunner();
    const long = runner.read(ps, { timeoutMs: LONG, env: fake.env('wait_for_leave') });
    await fake.noted('waits');
    const old = workerPid(runner);
    const upgraded = (await readFile(path.join(fake.folder, 'fake_cli.py'), 'utf8')).replace(
      'the answer to',
      'the new answer to',
    );
    await writeFile(path.join(fake.folder, 'fake_cli.py'), upgraded);
    await utimes(fake.executable.path, new Date(), new Date());
    expect((await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).stdout).toBe('the new answer to ps\n');
    expect(workerPid(runner)).not.toBe(old);
    await fake.giveLeave();
    expect(await long).toMatchObject({ stdout: 'waiting\ndone\n', ran: 'warm' });
    await untilGone(old);
    expect(await fake.count('waits')).toBe(1);
  });

  test('is given up after it died repeatedly, and commands run as plain processes', async () => {
    const runner = startRunner({ env: { ...baseEnv(), FAKE_IMPORT: 'dies' }, limits: { maxDeaths: 2 } });
    for (const kind of ['idle', 'given-up', 'given-up']) {
      const result = await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
      // The import dies in a plain process just as well, and its own words are the answer.
      expect(result).toMatchObject({ stderr: 'this import dies\n', exit: { kind: 'exited', code: 1 }, ran: 'plain' });
      expect(runner.state().kind).toBe(kind);
    }
    expect(runner.state().why).toBe('the worker ended with exit code 1: this import dies');
  });

  test('is tried again some time after it was given up', async () => {
    const runner = startRunner({ limits: { maxDeaths: 1, giveUpMs: 500 } });
    await runner.read(ps, { timeoutMs: LONG, env: fake.env() });
    process.kill(workerPid(runner), 'SIGKILL');
    await until(() => runner.state().kind === 'given-up');
    await until(async () => (await runner.read(ps, { timeoutMs: LONG, env: fake.env() })).ran === 'warm');
    expect(runner.state().kind).toBe('ready');
  });

  test('ends with all its children when the runner is closed', async () => {
    const runner = startRunner();
    const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('hang') });
    const { pid } = await fake.noted('hangs');
    const worker = workerPid(runner);
    await until(async () => (await childrenOf(worker)).length === 2);
    const children = await childrenOf(worker);
    expect(children).toContain(pid);
    await runner.close();
    expect((await running).exit).toEqual({ kind: 'cancelled' });
    for (const each of [worker, ...children]) expect(await isRunning(each)).toBe(false);
  });
});

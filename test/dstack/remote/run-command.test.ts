import { describe, expect, test } from 'vitest';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { runCommand } from '../../../src/remote/run-command.ts';
import type { CommandInput } from '../../../src/remote/run-command.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';
import { residentBytes } from '../../support/processes.ts';
import { until } from '../../support/wait.ts';

const never = new AbortController().signal;

const isRunning = async (pid: string): Promise<boolean> => (await lookUpProcess(Number(pid))) !== undefined;

describe.skipIf(whyNoSshd !== undefined)('a command in a run', () => {
  const sshd = new RealSshd();
  const run = (input: string | CommandInput, { timeoutMs = 60_000, signal = never } = {}) =>
    runCommand(createSshShell(sshd.connection), typeof input === 'string' ? { command: input } : input, {
      timeoutMs,
      signal,
    });

  test('has its exit code and both streams', async () => {
    const { end, stdout, stderr, hasLeftovers } = await run('echo out; echo err >&2; exit 3');
    expect(end).toEqual({ kind: 'exited', exitCode: 3 });
    expect([stdout.text, stderr.text, hasLeftovers]).toEqual(['out\n', 'err\n', false]);
  });

  test('is for bash where it exists', async () => {
    expect((await run('a=(1 2); echo ${#a[@]}')).stdout.text).toBe('2\n');
  });

  test('ended by a signal has the exit code that a shell reports for it', async () => {
    expect((await run('kill -KILL $$')).end).toEqual({ kind: 'exited', exitCode: 137 });
  });

  test.each([
    ['quotes', `printf '%s' "it's" '"$HOME"'`, `it's"$HOME"`],
    ['lines', 'cat <<"EOF"\none $(id)\n\ttwo\nEOF\n\n', 'one $(id)\n\ttwo\n'],
    ['50 KB', `printf %s ${'x'.repeat(50_000)} | wc -c`, '50000\n'],
  ])('keeps %s', async (_what, command, printed) => {
    expect((await run(command)).stdout.text.trimStart()).toBe(printed);
  });

  test('has an empty standard input, or the given one to its last byte', async () => {
    expect((await run('wc -c')).stdout.text.trim()).toBe('0');
    const stdin = `${'größe\n'.repeat(150_000)}end`;
    const { stdout } = await run({ command: 'tee /dev/stderr | sha256sum; head -c 0', stdin });
    const { createHash } = await import('node:crypto');
    expect(stdout.text).toContain(createHash('sha256').update(stdin).digest('hex'));
  });

  test('that reads nothing of a long standard input ends all the same', async () => {
    expect((await run({ command: 'exit 4', stdin: 'x'.repeat(1_000_000) })).end).toEqual({
      kind: 'exited',
      exitCode: 4,
    });
  });

  test('runs in a folder, or not at all', async () => {
    expect((await run({ command: 'pwd', cwd: '/usr' })).stdout.text).toBe('/usr\n');
    const { end, stdout, stderr } = await run({ command: 'echo up', cwd: '/nowhere; echo up' });
    expect([end, stdout.text]).toEqual([{ kind: 'exited', exitCode: expect.not.stringMatching('0') }, '']);
    expect(stderr.text).toContain('/nowhere; echo up');
  });

  test('leaves no file behind', async () => {
    const list = 'ls -A "${TMPDIR:-/tmp}" | grep -c "^tmp\\." || true';
    const before = (await run(list)).stdout.text;
    await run({ command: 'cat', stdin: 'data' });
    expect((await run(list)).stdout.text).toBe(before);
  });

  test('is ended at its timeout with its children, even if they ignore SIGTERM', async () => {
    const { end, stdout } = await run(
      `trap '' TERM; sh -c "trap '' TERM; echo \\$\\$; sleep 600; sleep 600" & sleep 600; sleep 600`,
      {
        timeoutMs: 500,
      },
    );
    expect(end).toEqual({ kind: 'timed-out', left: [] });
    expect(await isRunning(stdout.text.trim())).toBe(false);
  });

  test('is ended if nobody waits for it anymore', async () => {
    const stop = new AbortController();
    const file = `${sshd.folder}/cancelled`;
    const result = run(`echo $$ >${file}; exec sleep 600`, { signal: stop.signal });
    const pid = await until(
      async () => (await run(`cat ${file}`)).stdout.text.trim(),
      (text) => text !== '',
    );
    stop.abort();
    expect((await result).end).toEqual({ kind: 'cancelled', left: [] });
    expect(await isRunning(pid)).toBe(false);
  });

  test('is ended by its own watcher if ssh is killed', async () => {
    const shell = createSshShell(sshd.connection);
    const file = `${sshd.folder}/pid`;
    const stop = new AbortController();
    // A server that was killed closes its pipes, and asks for nothing anymore.
    const dying = { start: (...args: Parameters<typeof shell.start>) => shell.start(args[0], { signal: stop.signal }) };
    const result = runCommand(
      dying,
      { command: `echo $$ >${file}; exec sleep 600` },
      { timeoutMs: 60_000, signal: never },
    );
    const pid = await until(
      async () => (await run(`cat ${file}`)).stdout.text.trim(),
      (text) => text !== '',
    );
    stop.abort();
    expect((await result).end).toMatchObject({ kind: 'lost' });
    await until(
      () => isRunning(pid),
      (running) => !running,
    );
  });

  test('whose connection drops is lost, and is ended by its watcher', async () => {
    const file = `${sshd.folder}/pid2`;
    const result = run(`echo $$ >${file}; exec sleep 600`);
    const pid = await until(
      async () => (await run(`cat ${file}`)).stdout.text.trim(),
      (text) => text !== '',
    );
    await sshd.dropConnection();
    expect((await result).end).toMatchObject({ kind: 'lost' });
    await until(
      () => isRunning(pid),
      (running) => !running,
    );
    await sshd.openMaster();
  });

  test('that leaves a process with its output ends, and says so', async () => {
    const { end, stdout, hasLeftovers } = await run('sleep 600 & echo $!');
    expect([end, hasLeftovers]).toEqual([{ kind: 'exited', exitCode: 0 }, true]);
    expect((await run(`kill ${stdout.text.trim()}`)).end).toEqual({ kind: 'exited', exitCode: 0 });
  });

  test('that prints 100 MB keeps both ends of it in little memory', async () => {
    const before = await residentBytes(process.pid);
    const { stdout } = await run('echo first; head -c 100000000 /dev/zero | tr "\\0" x; echo; echo last');
    expect(stdout.bytes).toBe(100_000_012);
    expect([stdout.text.startsWith('first\n'), stdout.text.endsWith('\nlast\n')]).toEqual([true, true]);
    expect(stdout.omittedBytes).toBeGreaterThan(99_000_000);
    expect((await residentBytes(process.pid)) - before).toBeLessThan(60_000_000);
  });

  test('that prints bytes is recognized as binary', async () => {
    expect((await run('printf "a\\0b"')).stdout.isBinary).toBe(true);
    expect((await run('echo größe')).stdout.isBinary).toBe(false);
  });
});

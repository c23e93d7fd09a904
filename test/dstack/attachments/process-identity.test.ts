import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { findByEnvironment, isAlive, lookUpProcess, parsePs } from '../../../src/dstack/run/processes.ts';

/** Starts a process that sleeps until it is killed. */
async function startSleeper(env: Record<string, string> = {}) {
  const child = spawn('sleep', ['600'], { stdio: 'ignore', detached: true, env: { ...process.env, ...env } });
  await once(child, 'spawn');
  const end = async (): Promise<void> => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return { pid: child.pid ?? 0, end };
}

describe('a process', () => {
  test.skipIf(process.platform === 'win32')('is found only while it runs', async () => {
    const { pid, end } = await startSleeper();
    const facts = await lookUpProcess(pid);
    expect(facts).toMatchObject({ pid, groupId: pid });
    expect(facts?.argv.join(' ')).toBe('sleep 600');
    const identity = { pid, startedAt: facts?.startedAt ?? '' };
    expect(await isAlive(identity)).toBe(true);
    expect(await isAlive({ pid, startedAt: 'another time' })).toBe(false);
    await end();
    expect(await isAlive(identity)).toBe(false);
    expect(await lookUpProcess(pid)).toBeUndefined();
  });

  test.runIf(process.platform === 'linux')('is found by a variable in its environment', async () => {
    const marked = await startSleeper({ TEST_MARK: 'größe=1' });
    const other = await startSleeper({ TEST_MARK_NOT: 'größe=1' });
    expect(await findByEnvironment('TEST_MARK')).toMatchObject([{ pid: marked.pid, value: 'größe=1' }]);
    await Promise.all([marked.end(), other.end()]);
    expect(await findByEnvironment('TEST_MARK')).toEqual([]);
  });

  test('is parsed from the output of ps on macOS', () => {
    const line = 'Ss    4711 Wed Nov  5 01:14:21 2025     /usr/bin/python3 /opt/dstack attach web --logs\n';
    expect(parsePs(4711, line)).toEqual({
      pid: 4711,
      groupId: 4711,
      startedAt: 'Wed Nov 5 01:14:21 2025',
      argv: ['/usr/bin/python3 /opt/dstack attach web --logs'],
    });
  });

  test('is not found if it is a zombie', () => {
    expect(parsePs(4711, 'Z+    4711 Wed Nov  5 01:14:21 2025     (python3)\n')).toBeUndefined();
    expect(parsePs(4711, '')).toBeUndefined();
  });
});

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { listJobs, readJob, startJob, stopJob } from '../../../src/remote/background-jobs.ts';
import type { CommandInput } from '../../../src/remote/run-command.ts';
import { runCommand } from '../../../src/remote/run-command.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';
import { until } from '../../support/wait.ts';

const call = { timeoutMs: 60_000.5, signal: new AbortController().signal };

describe.skipIf(whyNoSshd !== undefined)('a background command in a run', () => {
  const sshd = new RealSshd();
  const shell = () => createSshShell(sshd.connection);
  const start = (input: string | CommandInput) =>
    startJob(shell(), typeof input === 'string' ? { command: input } : input, call);
  const read = async (id: string, cursor?: string, maxBytes = 4_000) => {
    const output = await readJob(shell(), { id, cursor, maxBytes }, call);
    if (output === undefined) throw new Error(`no job ${id}`);
    return output;
  };
  const untilEnded = (id: string) =>
    until(
      () => read(id),
      ({ job }) => job.state !== 'running',
    );
  const untilPrinted = (id: string, words: string) =>
    until(
      () => read(id),
      ({ stdout }) => stdout.includes(words),
    );
  const isRunning = async (pid: string): Promise<boolean> => (await lookUpProcess(Number(pid))) !== undefined;

  test('has its exit code, both streams, and what it was', async () => {
    const id = await start({ command: 'cat; echo err >&2; pwd; exit 3\n', stdin: 'in\n', cwd: '/usr' });
    const { job, stdout, stderr } = await untilEnded(id);
    expect(job).toMatchObject({ id, state: 'ended', exitCode: 3, stdoutBytes: 8, stderrBytes: 4 });
    expect([job.command, stdout, stderr]).toEqual(['cat; echo err >&2; pwd; exit 3\n', 'in\n/usr\n', 'err\n']);
    expect(await listJobs(shell(), call)).toContainEqual(job);
  });

  test('continues when its connection has ended', async () => {
    const file = path.join(sshd.folder, 'go');
    const id = await start(`echo up; until [ -e ${file} ]; do sleep 0.05; done; echo done`);
    await untilPrinted(id, 'up');
    await sshd.dropConnection();
    await sshd.openMaster();
    expect((await read(id)).job.state).toBe('running');
    await runCommand(shell(), { command: `touch ${file}` }, call);
    expect((await untilEnded(id)).stdout).toBe('up\ndone\n');
  });

  test('is stopped with its children, even if they ignore SIGTERM', async () => {
    const id = await start(`trap '' TERM; sh -c 'echo $$; sleep 600; sleep 600' & wait; sleep 600`);
    const { stdout } = await untilPrinted(id, '\n');
    expect(await stopJob(shell(), id, call)).toEqual({ before: 'running', exitCode: 137, left: [] });
    expect(await isRunning(stdout.trim())).toBe(false);
    expect((await read(id)).job).toMatchObject({ state: 'ended', exitCode: 137 });
    expect(await stopJob(shell(), id, call)).toEqual({ before: 'ended', exitCode: 137, left: [] });
  });

  test('may end itself when it is stopped, with its own exit code', async () => {
    const id = await start(`trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done`);
    await untilPrinted(id, 'up');
    expect(await stopJob(shell(), id, call)).toEqual({ before: 'running', exitCode: 9, left: [] });
    expect((await read(id)).stdout).toBe('up\nbye\n');
  });

  test('is lost, not running, if another process has its pid', async () => {
    const id = await start('echo up; sleep 600');
    await untilPrinted(id, 'up');
    const pid = `"$HOME/.dstack-mcp/jobs/${id}/pid"`;
    await runCommand(shell(), { command: `read p s <${pid}; echo "$p 1" >${pid}; kill -KILL -$p` }, call);
    const sleeper = await start('echo $$; exec sleep 600');
    const other = (await untilPrinted(sleeper, '\n')).stdout.trim();
    await runCommand(shell(), { command: `echo "${other} 1" >${pid}` }, call);
    expect((await read(id)).job.state).toBe('lost');
    expect(await stopJob(shell(), id, call)).toEqual({ before: 'lost', left: [] });
    expect(await isRunning(other)).toBe(true);
    await stopJob(shell(), sleeper, call);
  });

  test('is read page by page, in whole characters, from where the last page ended', async () => {
    const id = await start('for i in 1 2 3 4 5 6; do echo größe$i; done');
    await untilEnded(id);
    const last = await read(id, undefined, 20);
    expect([last.stdout, last.more]).toEqual(['größe5\ngröße6\n', 0]);
    const pages: string[] = [];
    let cursor = '0.0';
    for (;;) {
      const page = await read(id, cursor, 12);
      expect(page.stdout).toMatch(/^(?:größe\d\n)*$/);
      if (page.stdout === '') break;
      pages.push(page.stdout);
      cursor = page.newer;
    }
    expect(pages.join('')).toBe([1, 2, 3, 4, 5, 6].map((n) => `größe${n}\n`).join(''));
    expect(await read(id, '999999.999999')).toMatchObject({ stdout: '', stderr: '', more: 0 });
  });

  test('is read in whole characters if its lines are longer than a page', async () => {
    const id = await start("printf 'ö%.0s' 1 2 3 4 5 6 7");
    await untilEnded(id);
    const first = await read(id, '0.0', 5);
    const second = await read(id, first.newer, 5);
    expect([first.stdout, second.stdout, second.more]).toEqual(['öö', 'öö', 6]);
  });

  test('is not started without its folder, and an unknown one is not found', async () => {
    const refused = await start({ command: 'echo up', cwd: '/nowhere' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ report: { summary: expect.stringContaining('not started') } });
    expect(refused).toMatchObject({
      report: { printed: [{ untrusted: true, transcript: { stdout: expect.stringContaining('/nowhere') } }] },
    });
    expect(await readJob(shell(), { id: '00000000', maxBytes: 10 }, call)).toBeUndefined();
    expect(await stopJob(shell(), '00000000', call)).toBeUndefined();
  });
});

import { randomBytes } from 'node:crypto';
import { buffer, text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { RemoteProcess } from '../../../src/remote/remote-shell.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { readUntil } from '../../support/run-command.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';

const never = new AbortController().signal;

/** Reads everything that a program prints. */
async function readAll(process: RemoteProcess) {
  const [stdout, stderr, end] = await Promise.all([text(process.stdout), text(process.stderr), process.ended]);
  return { stdout, stderr, end };
}

describe.skipIf(whyNoSshd !== undefined)('a program over the shared connection to a real sshd', () => {
  const sshd = new RealSshd();
  const start = (script: string, data: readonly string[] = [], signal = never) =>
    createSshShell(sshd.connection).start({ script, data }, { signal });
  const run = (script: string, data: readonly string[] = [], stdin?: string | Buffer) => {
    const process = start(script, data);
    process.stdin.end(stdin);
    return process;
  };

  test('has both streams and its exit code, 255 as well', async () => {
    expect(await readAll(run('echo out; echo err >&2; exit 7'))).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      end: { kind: 'exited', exitCode: 7 },
    });
    expect(await readAll(run('exit 255'))).toMatchObject({ stderr: '', end: { kind: 'exited', exitCode: 255 } });
  });

  test('gets its data unchanged, whatever a shell would make of them', async () => {
    const data = [
      '',
      ' ',
      "it's",
      '"$(touch /tmp/x)`id`"',
      '-n',
      '*',
      'größe\n\n',
      '!!\\',
      '\u001e',
      'x'.repeat(50_000),
    ];
    const { stdout } = await readAll(run(String.raw`for a do printf '%s\0' "$a"; done`, data));
    expect(stdout.split('\0').slice(0, -1)).toEqual(data);
  });

  test('reads standard input to its end, and prints bytes unchanged', async () => {
    const bytes = randomBytes(1_000_000);
    const process = run('cat', [], bytes);
    const printed = await buffer(process.stdout);
    expect(printed.equals(bytes)).toBe(true);
    expect(await process.ended).toEqual({ kind: 'exited', exitCode: 0 });
  });

  test('leads its session, and is named by its pid and start time', async () => {
    const process = run('cat /proc/$$/stat');
    const stat = (await text(process.stdout)).split(') ')[1]?.split(' ') ?? [];
    // The fields after the name: state, parent, group, session, …
    const leader = await process.leader;
    expect([stat[2], stat[3], stat[19]]).toEqual([String(leader?.pid), String(leader?.pid), leader?.startedAt]);
  });

  test('has ended even if it left a process that holds its output', async () => {
    const process = run('sleep 600 & echo $!');
    expect(await process.ended).toEqual({ kind: 'exited', exitCode: 0 });
    const pid = (await readUntil(process.stdout, '\n')).trim();
    process.kill();
    await readAll(run('kill "$1"', [pid]));
  });

  test('is lost if it is killed, and if the caller gives up', async () => {
    expect(await readAll(run('kill -KILL $$'))).toMatchObject({ end: { kind: 'lost' } });
    const stop = new AbortController();
    const process = start('echo up; cat', [], stop.signal);
    await readUntil(process.stdout, 'up');
    stop.abort();
    expect(await process.ended).toMatchObject({ kind: 'lost' });
  });

  test('is given up at once, even if it ignores that nobody reads its output', async () => {
    const process = run('sleep 600 & echo $!; wait');
    const pid = (await readUntil(process.stdout, '\n')).trim();
    process.kill();
    expect(await process.ended).toMatchObject({ kind: 'lost' });
    await Promise.all([process.stdout, process.stderr].map((stream) => finished(stream).catch(() => undefined)));
    await readAll(run('kill "$1"', [pid]));
  });

  test('is lost if the connection drops, and the next one reaches nothing', async () => {
    const process = start('echo up; cat');
    await readUntil(process.stdout, 'up');
    await sshd.dropConnection();
    expect(await process.ended).toMatchObject({ kind: 'lost' });
    expect(await readAll(run('echo up'))).toMatchObject({ stdout: '', end: { kind: 'not-started' } });
    await sshd.openMaster();
  });

  test('does not start if ssh is missing', async () => {
    const ssh = { ...sshd.connection.ssh, env: { DSTACK_SSH_CLIENT: '/nowhere/ssh' } };
    const process = createSshShell({ ...sshd.connection, ssh }).start({ script: 'true', data: [] }, { signal: never });
    expect(await process.ended).toMatchObject({ kind: 'not-started' });
    expect(await process.leader).toBeUndefined();
  });
});

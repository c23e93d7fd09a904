import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { callProgram, readPids, remoteCommand } from '../../../src/remote/remote-shell.ts';
import type { RemoteProgram } from '../../../src/remote/remote-shell.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';

// As sshd does it, with the login shell of the job's user.
const runIn = (shell: string, command: string) => {
  // Without a start file of this computer's user.
  const env = { PATH: process.env['PATH'], HOME: emptyFolder() };
  const { stdout, stderr, status } = spawnSync(shell, ['-c', command], { env });
  return { stdout: stdout.toString(), stderr: stderr.toString(), status };
};

/** Replaces the path of the profile, which only a job has, in the encoded program. */
function withProfile(program: RemoteProgram, profile: string): string {
  const command = remoteCommand(program, 'mark');
  const [encoded = ''] = /(?<=' )\S+/.exec(command) ?? [];
  const script = Buffer.from(encoded, 'base64').toString().replaceAll('/dstack/profile', profile);
  return command.replace(encoded, Buffer.from(script).toString('base64'));
}

// Programs read /proc.
describe.skipIf(process.platform !== 'linux')('in a job,', () => {
  test.each(['sh', 'bash'])('a program runs under the login shell %s, between its two reports', (shell) => {
    const command = remoteCommand({ script: 'printf "[%s]" "$@"; exit 3', data: ['a b', '', "'"] }, 'mark');
    const { stdout, stderr, status } = runIn(shell, command);
    expect([stdout, status]).toEqual(["[a b][][']", 3]);
    expect(stderr.split('\u001e')).toEqual(['', expect.stringMatching(/^mark start \d+ \d+$/), '', 'mark exit 3', '']);
  });

  test('a program has the variables and the folder of the commands of its run', () => {
    const folder = emptyFolder();
    const profile = path.join(folder, 'profile');
    const lines = [`export DSTACK_RUN_NAME='it'"'"'s'`, `export DSTACK_WORKING_DIR='${folder}'`, 'echo noise'];
    writeFileSync(profile, [...lines, 'cd "$DSTACK_WORKING_DIR"', ''].join('\n'));
    const { stdout } = runIn('sh', withProfile({ script: 'echo "$DSTACK_RUN_NAME $PWD"', data: [] }, profile));
    expect(stdout).toBe(`it's ${folder}\n`);
  });

  test('a program without a profile runs all the same', () => {
    const { stdout } = runIn('sh', withProfile({ script: 'echo up', data: [] }, '/nowhere/profile'));
    expect(stdout).toBe('up\n');
  });
});

describe.skipIf(whyNoSshd !== undefined)('a short program', () => {
  const sshd = new RealSshd();
  const call = (script: string, timeoutMs = 60_000) =>
    callProgram(createSshShell(sshd.connection), { script, data: [] }, { timeoutMs });

  test('that a hostile run replaces by one that prints without end is ended', async () => {
    const { stdout, end } = await call('while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done');
    expect(end.kind).toBe('lost');
    expect(stdout.length).toBeLessThanOrEqual(256 * 1024);
  });

  test('that doesn’t end is given up', async () => {
    expect((await call('cat <&1; sleep 600', 200)).end.kind).toBe('lost');
  });
});

test('process IDs are numbers, and few', () => {
  expect(readPids(['12', 'ignore', '-1', '', '13'])).toEqual([12, 13]);
  expect(readPids(Array.from({ length: 100 }, (_, at) => String(at)))).toHaveLength(20);
});

import { describe, expect, test } from 'vitest';
import { callProgram, readPids } from '../../../src/remote/call-program.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';

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

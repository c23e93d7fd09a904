import { PassThrough, Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { listJobs, stopJob } from '../../../src/remote/background-jobs.ts';
import type { RemoteShell } from '../../../src/remote/remote-shell.ts';

/** A run whose programs print this. */
const shellThatPrints = (text: string): RemoteShell => ({
  start: () => ({
    stdin: new PassThrough().resume(),
    stdout: Readable.from([Buffer.from(text)]),
    stderr: Readable.from([]),
    leader: Promise.resolve(undefined),
    ended: Promise.resolve({ kind: 'exited', exitCode: 0 }),
    kill: () => undefined,
  }),
});

const call = { timeoutMs: 10_000, signal: new AbortController().signal };

test.each([
  ['255', { exitCode: 255 }],
  ['256', {}],
  ['1000', {}],
  ['0x1F4', {}],
  ['-', {}],
])('the exit code %s of a background command counts only if a shell could report it', async (word, code) => {
  const stopped = await stopJob(shellThatPrints(`ended ${word}\n`), 'abcdef12', call);
  expect(stopped).toEqual({ before: 'ended', left: [], ...code });
});

test('a list with an exit code that is not one has none', async () => {
  const [job] = await listJobs(shellThatPrints('abcdef12 ended 999 1 2 0 0 bHM=\n'), call);
  expect(job).toEqual({ id: 'abcdef12', state: 'ended', seconds: 1, stdoutBytes: 0, stderrBytes: 0, command: 'ls' });
});

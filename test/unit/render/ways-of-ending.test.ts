import { expect, test } from 'vitest';
import type { Exit } from '../../../src/core/transcript.ts';
import { formatTranscript } from '../../../src/render/format-transcript.ts';
import { readFixture } from '../../support/read-fixture.ts';

const ENDS: readonly (readonly [Exit, string])[] = [
  [{ kind: 'exited', code: 2 }, '(exit code 2)'],
  [{ kind: 'signalled', signal: 'SIGKILL' }, '(ended by SIGKILL)'],
  [{ kind: 'timed-out', stillRunning: true }, '(not done within the time limit; it goes on in the background)'],
  [{ kind: 'timed-out', stillRunning: false }, '(not done within the time limit; it was ended)'],
  [{ kind: 'cancelled' }, '(cancelled)'],
  [{ kind: 'not-started', reason: 'no such file' }, '(not started: no such file)'],
  [{ kind: 'lost', reason: 'the worker died' }, '(lost: the worker died)'],
];

test.each(ENDS)('a command that ended as %o is shown with that as its last line', (exit, line) => {
  const same = (text: string): string => text;
  const transcript = { ...readFixture('stop-stopped'), exit };
  const { text } = formatTranscript(transcript, { maxChars: 1_000, keep: 'start', redact: same, fence: same });
  expect(text).toBe(`$ dstack stop -y lab-task\nStopped\n${line}`);
});

import { expect, test } from 'vitest';
import { reportCommand } from '../../../src/remote/report-exec.ts';
import type { CommandEnd, Stream } from '../../../src/remote/run-command.ts';
import { renderReport } from '../../../src/render/render-report.ts';
import { createRedactor } from '../../../src/render/mask-secrets.ts';
import { fenceUntrusted } from '../../../src/render/untrusted.ts';

const where = { run: 'dev', replica: 0, job: 0 };
const stream = (text: string, more: Partial<Stream> = {}): Stream => ({
  text,
  bytes: text.length,
  omittedBytes: 0,
  isBinary: false,
  ...more,
});

function report(end: CommandEnd, { stdout = stream(''), stderr = stream(''), hasLeftovers = false } = {}) {
  const result = { end, stdout, stderr, durationMs: 1_234, hasLeftovers };
  const made = reportCommand({ command: 'make', where, result, timeoutMs: 5_000 });
  return { ...made, text: renderReport(made, { redact: createRedactor().redact, fence: fenceUntrusted }).text };
}

test.each<[CommandEnd, string, RegExp]>([
  [{ kind: 'exited', exitCode: 0 }, 'done', /^Exit code 0 in dev after 1\.2 s\.$/],
  [{ kind: 'exited', exitCode: 137 }, 'failed', /^Exit code 137 \(SIGKILL\)/],
  [{ kind: 'timed-out', left: [] }, 'failed', /didn't finish in dev within 5\.0 s\. It was ended with its processes/],
  [{ kind: 'timed-out', left: [12] }, 'unknown', /1 process of it could not be ended: 12/],
  [{ kind: 'timed-out', left: undefined }, 'unknown', /it may still be running/],
  [{ kind: 'cancelled', left: [] }, 'failed', /^Canceled/],
  [{ kind: 'lost', message: 'x' }, 'unknown', /It isn't known how the command ended/],
  [{ kind: 'not-started', message: 'x' }, 'failed', /^It wasn't run/],
])('%j is %s', (end, outcome, summary) => {
  expect(report(end)).toMatchObject({ outcome, summary: expect.stringMatching(summary) });
});

test('of two long streams, both ends of each are shown, with what is left out', () => {
  const long = (word: string): Stream => stream(`${word} starts\n${'.\n'.repeat(20_000)}${word} ends\n`);
  const { text } = report({ kind: 'exited', exitCode: 1 }, { stdout: long('out'), stderr: long('err') });
  for (const words of ['out starts', 'out ends', 'err starts', 'err ends']) expect(text).toContain(words);
  expect(text.match(/left out here/g)).toHaveLength(2);
  expect(text.length).toBeLessThan(9_000);
});

test('binary output is not shown', () => {
  const { text } = report({ kind: 'exited', exitCode: 0 }, { stdout: stream('\u0000PNG', { isBinary: true }) });
  expect(text).toContain('binary output, 4 bytes: not shown');
  expect(text).not.toContain('PNG');
});

test('what is dropped from the middle, and a process that was left, are reported', () => {
  const stdout = stream('a', { bytes: 100_000_000, omittedBytes: 99_000_000 });
  const { text, summary, next } = report({ kind: 'exited', exitCode: 0 }, { stdout, hasLeftovers: true });
  expect(text).toContain('99000000 bytes in the middle of this output were dropped');
  expect([summary, next].join(' ')).toMatch(/a process that it left.*background/i);
});

test.each(['-----BEGIN PRIVATE KEY-----', '-----BEGIN\u001b[0m PRIVATE KEY-----', 'https://\u001b[0mu'])(
  'output that ends with %j hides neither the end of its fence nor the outcome',
  (line) => {
    const { text, outcome } = report({ kind: 'exited', exitCode: 1 }, { stdout: stream(`loss 0.1\n${line}\n`) });
    const boundary = /\[untrusted output ([0-9a-f]{16})/.exec(text)?.[1];
    expect(text).toContain(`\n[end of untrusted output ${boundary}]\n`);
    expect(text).toContain(`outcome: ${outcome} | run: dev`);
  },
);

test('a secret with a terminal sequence inside is masked', () => {
  const stdout = stream('-----BEGIN\u001b[0m PRIVATE KEY-----\nMIIE\u001b[1mvQ\n-----END PRIVATE KEY-----\nafter\n');
  const { text } = report({ kind: 'exited', exitCode: 0 }, { stdout });
  expect(text).toContain('[masked]\nafter');
  expect(text).not.toMatch(/MIIE|vQ/);
});

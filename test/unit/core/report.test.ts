import { expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { reportSeveral } from '../../../src/core/report.ts';
import type { Report } from '../../../src/core/report.ts';
import { ownTranscript } from '../../../src/core/transcript.ts';

const reportOf = (name: string): Report<Record<string, unknown>> => ({
  outcome: 'done',
  summary: `Run ${name} is running.`,
  details: ['cost so far: $0.01'],
  printed: [{ transcript: ownTranscript('dstack logs', name), maxChars: 40_000 }],
  facts: { status: 'running' },
  next: 'logs shows its output.',
});

test('several reports are combined: whose each line is, one share of the text for each, and each next step once', async () => {
  const combined = await reportSeveral(['a', 'b'], 2_000, async (name) => reportOf(name));
  expect(combined).toMatchObject({
    outcome: 'done',
    summary: 'Run a is running.\nRun b is running.',
    details: ['a: cost so far: $0.01', 'b: cost so far: $0.01'],
    next: 'logs shows its output.',
  });
  expect(combined.printed.map(({ maxChars }) => maxChars)).toEqual([1_000, 1_000]);
});

test('one that fails is reported with its name, next to the others, and a bug is thrown', async () => {
  const combined = await reportSeveral(['a', 'b'], 2_000, async (name) => {
    if (name === 'a') throw new ToolError('invalid-name', 'There is no run a.', 'ps lists the runs.');
    return reportOf(name);
  });
  expect(combined).toMatchObject({
    outcome: 'refused',
    summary: 'a: There is no run a.\nRun b is running.',
    next: 'ps lists the runs. logs shows its output.',
  });
  const bug = reportSeveral(['a'], 2_000, async () => Promise.reject(new TypeError('a bug')));
  await expect(bug).rejects.toThrow('a bug');
});

import { expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { readPicture, reportSeveral } from '../../../src/core/report.ts';
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

test.each([
  ['image/png', '\u0089PNG\r\n\u001a\n...'],
  ['image/jpeg', '\u00ff\u00d8\u00ff\u00e0...'],
  ['image/gif', 'GIF89a...'],
  ['image/gif', 'GIF87a...'],
  ['image/webp', 'RIFF\u0001\u0002\u0003\u0004WEBPVP8 '],
])('the first bytes of %s make a picture', (mimeType, text) => {
  const bytes = Buffer.from(text, 'latin1');
  expect(readPicture(bytes)).toEqual({ mimeType, data: bytes.toString('base64') });
});

test.each([
  '',
  'GIF',
  'GIF88a',
  '<svg xmlns="http://www.w3.org/2000/svg">',
  'RIFF\u0001\u0002\u0003\u0004WAVE',
  ' \u0089PNG',
])('%j is not a picture', (text) => {
  expect(readPicture(Buffer.from(text, 'latin1'))).toBeUndefined();
});

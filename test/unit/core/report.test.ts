import { expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { cardOf, describeCardUse, readPicture, reportSeveral } from '../../../src/core/report.ts';
import type { CardUse, ChangeCard, Report } from '../../../src/core/report.ts';
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
    summary: 'Run a is running.',
    details: ['Run b is running.', 'a: cost so far: $0.01', 'b: cost so far: $0.01'],
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
    summary: 'a: There is no run a.',
    details: ['Run b is running.', 'b: cost so far: $0.01'],
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

const change: ChangeCard = {
  view: 'change',
  nonce: 'f'.repeat(32),
  expiresAt: '2026-01-01T00:10:00.000Z',
  now: '2026-01-01T00:00:00.000Z',
  operation: 'create',
  summary: {
    action: 'Create task train',
    resource: { kind: 'task', name: 'train' },
    project: 'main',
    server: 'http://127.0.0.1:3000',
    losses: [],
    warnings: [],
  },
};

test('a card shows a pending change, or the view that its facts allow', () => {
  expect(cardOf('change', { facts: {}, card: change })).toBe(change);
  expect(cardOf('change', { facts: { operation: 'none' } })).toEqual({ view: 'none' });
  expect(cardOf('runs', { facts: { runs: [] } })).toEqual({ view: 'runs' });
  expect(cardOf('run', { facts: { run: {} } })).toEqual({ view: 'run' });
  expect(cardOf('run', { facts: { resource: {} } })).toEqual({ view: 'none' });
  expect(cardOf('offers', { facts: { gpus: [] } })).toEqual({ view: 'offers' });
  expect(cardOf('offers', { facts: { offers: [] } })).toEqual({ view: 'offers' });
  expect(cardOf('offers', { facts: { code: 'timed-out' } })).toEqual({ view: 'none' });
});

test('a result without a card has no card data, and never a pending change', () => {
  expect(cardOf(undefined, { facts: { runs: [] }, card: change })).toBeUndefined();
  expect(cardOf('buttons', { facts: {}, card: change })).toBeUndefined();
  // A listing tool never exposes what a click would need.
  for (const use of ['runs', 'run', 'offers'] as const) {
    expect(cardOf(use, { facts: {}, card: change })).toEqual({ view: 'none' });
  }
});

test('tools name the card that shows their results, and the tool of its buttons is hidden from the model', () => {
  for (const use of ['change', 'runs', 'run', 'offers'] satisfies CardUse[])
    expect(describeCardUse(use)).toEqual({ ui: { resourceUri: 'ui://dstack/card' } });
  expect(describeCardUse('buttons')).toEqual({ ui: { visibility: ['app'] } });
  expect(describeCardUse(undefined)).toBeUndefined();
});

import { expect, test } from 'vitest';
import { cardOf, describeCardUse } from '../../../src/core/card.ts';
import type { CardUse, ChangeCard } from '../../../src/core/card.ts';

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

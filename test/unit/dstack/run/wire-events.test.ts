import { expect, test } from 'vitest';
import type { WireEvent } from '../../../../src/core/transcript.ts';
import { addWireEvent, readWireEvent } from '../../../../src/dstack/run/wire-events.ts';

const found = (path: string, value: unknown): WireEvent => ({ event: 'found', path, value });

test('an event is read', () => {
  const event = found('runs/get', { id: 'r1', cost: null });
  expect(readWireEvent(JSON.stringify(event))).toEqual(event);
});

test.each(['{"event": "found", "path": "runs/get", "value": NaN}', '{"event": "fou', '', 'null', '[]', '{"event": 1}'])(
  'what is not an event is undefined: %s',
  (text) => {
    expect(readWireEvent(text)).toBeUndefined();
  },
);

test('of the look-ups at a path, the last one is kept, after what came before it', () => {
  const sent: WireEvent = { event: 'sent', path: 'runs/apply', kind: 'change' };
  const unreadable: WireEvent = { event: 'unreadable', path: 'runs/get' };
  const events: WireEvent[] = [];
  for (const event of [found('runs/get_plan', 1), found('runs/get', 2), sent, unreadable, sent])
    addWireEvent(events, event);
  expect(events).toEqual([found('runs/get_plan', 1), sent, unreadable, sent]);
  addWireEvent(events, found('runs/get', 3));
  expect(events).toEqual([found('runs/get_plan', 1), sent, sent, found('runs/get', 3)]);
});

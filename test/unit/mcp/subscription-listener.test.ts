import { beforeEach, expect, test } from 'vitest';
import { createListenObserver } from '../../../src/mcp/subscription-listener.ts';
import type { ListenObserver } from '../../../src/mcp/subscription-listener.ts';

let watched: string[];
let observer: ListenObserver;

beforeEach(() => {
  watched = [];
  observer = createListenObserver((uri) => {
    if (!uri.startsWith('dstack://runs/')) return undefined;
    watched.push(uri);
    return () => watched.splice(watched.indexOf(uri), 1);
  });
});

const listen = (id: number, ...resourceSubscriptions: readonly string[]) => ({
  jsonrpc: '2.0',
  id,
  method: 'subscriptions/listen',
  params: { notifications: { resourceSubscriptions } },
});

test('what a client listens to is watched once, and what sends no updates is not', () => {
  observer.received(listen(1, 'dstack://runs/a', 'dstack://runs/a', 'dstack://help/apply'));
  expect(watched).toEqual(['dstack://runs/a']);
});

test.each([
  ['cancels it', () => observer.received({ method: 'notifications/cancelled', params: { requestId: 1 } })],
  ['is refused', () => observer.sent({ id: 1, error: { code: -32602, message: 'no' } })],
  ['is gone', () => observer.close()],
])('watching ends when the client %s', (_, end) => {
  observer.received(listen(1, 'dstack://runs/a', 'dstack://runs/b'));
  end();
  expect(watched).toEqual([]);
});

test('one request less leaves the other watching, and a result ends nothing', () => {
  observer.received(listen(1, 'dstack://runs/a'));
  observer.received(listen(2, 'dstack://runs/a'));
  observer.sent({ id: 2, result: {} });
  observer.received({ method: 'notifications/cancelled', params: { requestId: 1 } });
  expect(watched).toEqual(['dstack://runs/a']);
});

test('the same id again takes the place of the one before', () => {
  observer.received(listen(1, 'dstack://runs/a'));
  observer.received(listen(1, 'dstack://runs/b'));
  expect(watched).toEqual(['dstack://runs/b']);
});

test.each([null, 'text', {}, { method: 'subscriptions/listen', id: 1 }, { method: 'tools/call', id: 1, params: {} }])(
  'other messages are let by: %j',
  (message) => {
    observer.received(message);
    observer.sent(message);
    expect(watched).toEqual([]);
  },
);

import { beforeEach, expect, test } from 'vitest';
import { createSubscriptionListener } from '../../../src/mcp/subscriptions.ts';
import type { SubscriptionListener } from '../../../src/mcp/subscriptions.ts';

let watched: string[];
let listener: SubscriptionListener;

beforeEach(() => {
  watched = [];
  listener = createSubscriptionListener((uri) => {
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

test('watches each URI once, and none that sends no updates', () => {
  listener.received(listen(1, 'dstack://runs/a', 'dstack://runs/a', 'dstack://help/apply'));
  expect(watched).toEqual(['dstack://runs/a']);
});

test.each([
  ['cancels it', () => listener.received({ method: 'notifications/cancelled', params: { requestId: 1 } })],
  ['is rejected', () => listener.sent({ id: 1, error: { code: -32602, message: 'no' } })],
  ['disconnects', () => listener.close()],
])('stops watching when the client %s', (_, end) => {
  listener.received(listen(1, 'dstack://runs/a', 'dstack://runs/b'));
  end();
  expect(watched).toEqual([]);
});

test('cancelling one request keeps the other, and a result ends nothing', () => {
  listener.received(listen(1, 'dstack://runs/a'));
  listener.received(listen(2, 'dstack://runs/a'));
  listener.sent({ id: 2, result: {} });
  listener.received({ method: 'notifications/cancelled', params: { requestId: 1 } });
  expect(watched).toEqual(['dstack://runs/a']);
});

test('a repeated id replaces the earlier request', () => {
  listener.received(listen(1, 'dstack://runs/a'));
  listener.received(listen(1, 'dstack://runs/b'));
  expect(watched).toEqual(['dstack://runs/b']);
});

test.each([null, 'text', {}, { method: 'subscriptions/listen', id: 1 }, { method: 'tools/call', id: 1, params: {} }])(
  'ignores other messages: %j',
  (message) => {
    listener.received(message);
    listener.sent(message);
    expect(watched).toEqual([]);
  },
);

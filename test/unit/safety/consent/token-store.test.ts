import { expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { closeEntry, TokenStore } from '../../../../src/safety/consent/token-store.ts';
import type { TokenStoreOptions } from '../../../../src/safety/consent/token-store.ts';
import { pendingChange } from '../../../support/pending-change.ts';

function setUp(options: Partial<TokenStoreOptions> = {}) {
  let clock = 0;
  const store = new TokenStore<string>({
    now: () => clock,
    lifeMs: 600_000,
    maxPending: 3,
    maxResults: 2,
    cardLoadMs: 0,
    maxClosed: 3,
    ...options,
  });
  return {
    store,
    pass: (ms: number): void => {
      clock += ms;
    },
    /** Mints a token and uses it. */
    use: (): string => {
      const { token, entry } = store.add(pendingChange());
      entry.state = { kind: 'used', used: { result: token, level: 'token', unrecorded: false } };
      return token;
    },
  };
}

/** Returns the state of a token, or why it is unavailable. */
function stateOf(store: ReturnType<typeof setUp>['store'], token: string): string {
  try {
    const { state } = store.find(token);
    return state.kind === 'closed' ? `closed: ${state.why.message}` : state.kind;
  } catch (error) {
    if (error instanceof ToolError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

test('a new token: nobody was asked, and its id reveals nothing about it', () => {
  const { store } = setUp();
  const { token, entry } = store.add(pendingChange());
  expect(entry.state).toEqual({ kind: 'pending', asking: { kind: 'not-asked' } });
  expect(entry.asked).toBe(false);
  expect(entry.expiresAtMs).toBe(600_000);
  expect(entry.id).toMatch(/^[0-9a-z]{7}$/);
  expect(token).not.toContain(entry.id);
  expect(store.find(token)).toBe(entry);
});

test('a token is valid until the very end of its time, and never afterwards', () => {
  const { store, pass } = setUp();
  const { token } = store.add(pendingChange());
  pass(599_999);
  expect(stateOf(store, token)).toBe('pending');
  pass(1);
  const says = 'This token has expired: it was valid for 10 minutes. Nothing was changed.';
  expect(stateOf(store, token)).toBe(`token-expired: ${says}`);
  expect(stateOf(store, token)).toBe(`closed: ${says}`);
});

test('a used token keeps its result after its expiry', () => {
  const { store, pass, use } = setUp();
  const token = use();
  pass(10_000_000);
  expect(stateOf(store, token)).toBe('used');
});

test('adding a token closes the expired ones', () => {
  const { store, pass } = setUp();
  const { entry } = store.add(pendingChange());
  pass(599_999);
  store.add(pendingChange());
  expect(entry.state.kind).toBe('pending');
  pass(1);
  store.add(pendingChange());
  expect(entry.state).toMatchObject({
    kind: 'closed',
    why: { message: expect.stringMatching(/^This token has expired\./) },
  });
});

test('the oldest is evicted if too many are pending', () => {
  const { store } = setUp();
  const tokens = Array.from({ length: 4 }, () => store.add(pendingChange()).token);
  expect(tokens.map((token) => stateOf(store, token))).toEqual([
    'closed: This token was evicted by newer ones. Nothing was changed.',
    'pending',
    'pending',
    'pending',
  ]);
});

test('the newest results are kept; an older token says that it was used', () => {
  const { store, use } = setUp();
  const tokens = [use(), use(), use()];
  store.add(pendingChange());
  expect(tokens.map((token) => stateOf(store, token))).toEqual([
    'closed: This token was already used: its result is no longer kept. Nothing was done again.',
    'used',
    'used',
  ]);
});

test('the newest ended tokens are remembered, closed and used ones alike', () => {
  const { store, use } = setUp({ maxResults: 3 });
  const closed = Array.from({ length: 2 }, () => {
    const { token, entry } = store.add(pendingChange());
    closeEntry(entry, new ToolError('person-declined', 'no', ''));
    return token;
  });
  const used = [use(), use()];
  store.add(pendingChange());
  expect([...closed, ...used].map((token) => stateOf(store, token).split(':')[0])).toEqual([
    'token-unknown',
    'closed',
    'used',
    'used',
  ]);
});

test('shutting down closes pending tokens and leaves used ones', () => {
  const { store, use } = setUp();
  const used = use();
  const { token } = store.add(pendingChange());
  store.close();
  expect(stateOf(store, token)).toBe('closed: The server is shutting down. Nothing was changed.');
  expect(stateOf(store, used)).toBe('used');
});

import { expect, test, vi } from 'vitest';
import { createCompletions } from '../../../src/mcp/engine.ts';
import type { ToolAnswer } from '../../../src/tool/call-tool.ts';

const answer = (structured: Record<string, unknown>, isError = false): ToolAnswer => ({
  isError,
  text: 'some output',
  structured,
});

function create(call: () => Promise<ToolAnswer>) {
  const warn = vi.fn<() => void>();
  const clock = { nowMs: 0 };
  const silent = (): void => undefined;
  const names = createCompletions({
    call,
    commands: (parent) => Promise.resolve(parent === 'fleet' ? ['list', 'delete'] : ['apply', 'fleet']),
    log: { debug: silent, info: silent, warn, error: silent },
    now: () => clock.nowMs,
  });
  return { names, warn, clock };
}

test('matches names by prefix, ignoring case, without duplicates, and returns at most a hundred', async () => {
  const many = Array.from({ length: 300 }, (_, index) => ({ name: `run-${index}` }));
  const { names } = create(() => Promise.resolve(answer({ runs: [{ name: 'other' }, { name: 'other' }, ...many] })));
  expect(await names.complete('run', 'OTH')).toEqual(['other']);
  expect(await names.complete('run', 'run-')).toHaveLength(100);
});

test('asks dstack once while a person types, and again after the cache expires', async () => {
  const call = vi.fn<() => Promise<ToolAnswer>>(() => Promise.resolve(answer({ fleets: [{ name: 'cloud' }] })));
  const { names, clock } = create(call);
  await Promise.all(['', 'c', 'cl'].map((prefix) => names.complete('fleet', prefix)));
  expect(call).toHaveBeenCalledTimes(1);
  clock.nowMs = 60_000;
  await names.complete('fleet', 'clo');
  expect(call).toHaveBeenCalledTimes(2);
});

test('a failure returns no names, is logged, and is not cached', async () => {
  let isError = true;
  const { names, warn } = create(() => Promise.resolve(answer({ items: [{ NAME: 'disk' }] }, isError)));
  expect(await names.complete('volume', '')).toEqual([]);
  expect(warn).toHaveBeenCalledTimes(1);
  isError = false;
  expect(await names.complete('volume', '')).toEqual(['disk']);
});

test.each([
  ['', ['apply', 'fleet']],
  ['a', ['apply']],
  ['fleet d', ['fleet delete']],
  ['fleet delete', ['fleet delete']],
])('completes commands word by word: %j', async (typed, wanted) => {
  const { names } = create(() => Promise.reject(new Error('no tool is called for commands')));
  expect(await names.complete('command', typed)).toEqual(wanted);
});

test.each([[undefined], ['text'], [[null, 1, { name: 5 }, { name: '' }]]])(
  'rows without names return none: %j',
  async (runs) => {
    const { names } = create(() => Promise.resolve(answer({ runs })));
    expect(await names.complete('run', '')).toEqual([]);
  },
);

test('offers no name that would have to be cleaned or is too long', async () => {
  const odd = ['a\u202Eb', 'a⟨U+202E⟩b', 'a\nb', 'a\u001b[31m', 'a␛', 'a'.repeat(400)];
  const { names } = create(() => Promise.resolve(answer({ runs: ['a-good', ...odd].map((name) => ({ name })) })));
  expect(await names.complete('run', 'a')).toEqual(['a-good']);
});

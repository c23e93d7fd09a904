import { expect, test, vi } from 'vitest';
import { createNameSource } from '../../../src/mcp/completions.ts';
import type { ToolAnswer } from '../../../src/mcp/completions.ts';

const answer = (structured: Readonly<Record<string, unknown>>, isError = false): ToolAnswer => ({
  isError,
  text: 'what was printed',
  structured,
});

function create(call: () => Promise<ToolAnswer>) {
  const warn = vi.fn<() => void>();
  const clock = { nowMs: 0 };
  const silent = (): void => undefined;
  const names = createNameSource({
    call,
    commands: (parent) => Promise.resolve(parent === 'fleet' ? ['list', 'delete'] : ['apply', 'fleet']),
    log: { debug: silent, info: silent, warn, error: silent },
    now: () => clock.nowMs,
  });
  return { names, warn, clock };
}

test('names are found by their beginning, whatever its case, each once and at most a hundred', async () => {
  const many = Array.from({ length: 300 }, (_, index) => ({ name: `run-${index}` }));
  const { names } = create(() => Promise.resolve(answer({ runs: [{ name: 'other' }, { name: 'other' }, ...many] })));
  expect(await names.complete('run', 'OTH')).toEqual(['other']);
  expect(await names.complete('run', 'run-')).toHaveLength(100);
});

test('dstack is asked once while a person types, and again when that is old', async () => {
  const call = vi.fn<() => Promise<ToolAnswer>>(() => Promise.resolve(answer({ fleets: [{ name: 'cloud' }] })));
  const { names, clock } = create(call);
  await Promise.all(['', 'c', 'cl'].map((prefix) => names.complete('fleet', prefix)));
  expect(call).toHaveBeenCalledTimes(1);
  clock.nowMs = 60_000;
  await names.complete('fleet', 'clo');
  expect(call).toHaveBeenCalledTimes(2);
});

test('a failure gives no names, is logged, and is not kept', async () => {
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
])('commands are completed word by word: %j', async (typed, wanted) => {
  const { names } = create(() => Promise.reject(new Error('no tool is called for commands')));
  expect(await names.complete('command', typed)).toEqual(wanted);
});

test.each([[undefined], ['text'], [[null, 1, { name: 5 }, { name: '' }]]])(
  'rows that hold no names give none: %j',
  async (runs) => {
    const { names } = create(() => Promise.resolve(answer({ runs })));
    expect(await names.complete('run', '')).toEqual([]);
  },
);

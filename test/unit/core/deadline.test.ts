import { expect, test } from 'vitest';
import { within } from '../../../src/core/deadline.ts';

test('a promise that settles in time settles as it would without a limit', async () => {
  expect(await within(1_000_000, Promise.resolve(7))).toBe(7);
  await expect(within(1_000_000, Promise.reject(new Error('no')))).rejects.toThrow('no');
});

test('a promise that never settles is given up', async () => {
  expect(await within(1, new Promise<never>(() => undefined))).toBeUndefined();
});

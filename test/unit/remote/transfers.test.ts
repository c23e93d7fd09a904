import { expect, test } from 'vitest';
import { Transfers } from '../../../src/remote/transfers.ts';

test('a transfer that ended after its call is kept for a while, and then forgotten', async () => {
  let now = 0;
  const transfers = new Transfers<string>({ now: () => now });
  const call = { waitMs: 0, signal: new AbortController().signal, onProgress: () => undefined };
  let end: (value: string) => void = () => undefined;
  const work = new Promise<string>((resolve) => {
    end = resolve;
  });
  expect(await transfers.wait('a', call, () => work)).toMatchObject({ kind: 'running' });
  now = 1_000;
  transfers.forgetEnded('a', 0);
  expect(transfers.has('a')).toBe(true);
  end('done');
  await work;
  now = 2_000;
  transfers.forgetEnded('a', 1_001);
  expect(transfers.has('a')).toBe(true);
  transfers.forgetEnded('a', 1_000);
  expect(transfers.has('a')).toBe(false);
});

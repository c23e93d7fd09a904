import { expect, test } from 'vitest';
import type { Redemption } from '../../../../src/safety/consent/redemption.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { ask, refusal, setUp } from '../../../support/set-up-gate.ts';
import type { Result } from '../../../support/set-up-gate.ts';

async function begin({ gate }: ReturnType<typeof setUp>, token: string): Promise<Redemption<Result>> {
  const begun = await gate.gate.begin(token, ask());
  if (begun.kind !== 'approved') throw new Error(`expected an approval, got ${begun.kind}`);
  return begun.redemption;
}

test('a redemption grants one consent, even for the very same change', async () => {
  const world = setUp();
  const redemption = await begin(world, world.mint());
  redemption.grant(pendingChange());
  expect(() => redemption.grant(pendingChange())).toThrow('a redemption grants one consent');
});

test('a call that waits for a redemption gets its result, without a second one', async () => {
  const world = setUp();
  const token = world.mint();
  const redemption = await begin(world, token);
  const waiting = world.gate.gate.begin(token, ask());
  redemption.grant(pendingChange());
  redemption.finish({ outcome: 'done', run: 1 });
  expect(await waiting).toMatchObject({ kind: 'replay', used: { result: { run: 1 } } });
});

test('a call that waits for a redemption gets its failure, and the wait for its end never rejects', async () => {
  const world = setUp();
  const token = world.mint();
  const redemption = await begin(world, token);
  const waiting = world.gate.gate.begin(token, ask()).catch((error: unknown) => error);
  const failure = new Error('the worker died');
  expect(redemption.fail(failure)).toBe(failure);
  expect(await waiting).toBe(failure);
  await redemption.settled;
});

test('a change that ended with a thrown value that is not an Error is recorded with that value', async () => {
  const world = setUp();
  const token = world.mint();
  const redemption = await begin(world, token);
  redemption.grant(pendingChange());
  redemption.fail('the worker died');
  expect(world.audit.at(-1)).toMatchObject({ event: 'done', outcome: 'unknown', why: 'the worker died' });
  expect(await refusal(world.gate.gate.begin(token, ask()))).toMatchObject({ code: 'token-used' });
});

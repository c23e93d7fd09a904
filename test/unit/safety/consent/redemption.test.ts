import path from 'node:path';
import { expect, test } from 'vitest';
import type { PendingChange, PendingPart } from '../../../../src/core/change.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import type { Redemption } from '../../../../src/safety/consent/redemption.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';
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

const part = (name: string): PendingPart => ({
  ...pendingChange({ operation: 'stop', argv: ['stop', name], binding: { resource: { kind: 'run', name } } }),
  request: { tool: 'stop', run: name, abort: false },
});
const PARTS = ['exp-1', 'exp-2'].map(part);
const SEVERAL: PendingChange = {
  ...part('exp-1, exp-2'),
  argv: [],
  request: { tool: 'stop', runs: ['exp-1', 'exp-2'] },
  parts: PARTS,
};

test('of several processes, the first consent of a token for several changes takes all of them', async () => {
  const tokenFolder = path.join(emptyFolder(), 'tokens');
  const [here, there] = [setUp({ tokenFolder }), setUp({ tokenFolder })];
  const token = here.mint(SEVERAL);
  const [first, second] = [(await begin(here, token)).split(), (await begin(there, token)).split()];
  expect(first[0]?.grant(part('exp-1')).argv).toEqual(['stop', 'exp-1']);
  expect(() => second[1]?.grant(part('exp-2'))).toThrow('another dstack-mcp process has used it');
  expect(first[1]?.grant(part('exp-2')).argv).toEqual(['stop', 'exp-2']);
});

/** Begins one token in two processes, of which the first makes the change. */
async function useInAnotherProcess() {
  const tokenFolder = path.join(emptyFolder(), 'tokens');
  const [here, there] = [setUp({ tokenFolder }), setUp({ tokenFolder })];
  const token = here.mint();
  const [first, second] = [await begin(here, token), await begin(there, token)];
  first.grant(pendingChange());
  return { there, token, second };
}

test('a plan that differs because another process has used the token is reported as that', async () => {
  const { second } = await useInAnotherProcess();
  const differs = pendingChange({ argv: ['apply', '-f', 'other.dstack.yml'] });
  expect(() => second.grant(differs)).toThrow('another dstack-mcp process has used it');
});

test('a change that is impossible because another process has made it with the token is reported as that', async () => {
  const { there, token, second } = await useInAnotherProcess();
  const impossible = new ToolError('plan-changed', 'The run exists already.', 'Call get.');
  expect(second.fail(impossible)).toMatchObject({ code: 'token-used' });
  expect(await refusal(there.gate.gate.begin(token, ask()))).toMatchObject({ code: 'token-used' });
});

test('a plan that differs after an earlier change of the same token is reported as changed', async () => {
  const world = setUp({ tokenFolder: path.join(emptyFolder(), 'tokens') });
  const [first, second] = (await begin(world, world.mint(SEVERAL))).split();
  first?.grant(part('exp-1'));
  expect(() => second?.grant(part('exp-3'))).toThrow('the command was stop exp-2');
});

test('a change that is not the approved one leaves the consent to the others', async () => {
  const world = setUp({ tokenFolder: path.join(emptyFolder(), 'tokens') });
  const [first, second] = (await begin(world, world.mint(SEVERAL))).split();
  const other = { ...part('exp-1'), argv: ['stop', 'exp-3'] };
  expect(() => first?.grant(other)).toThrow('the command was stop exp-1, now it is stop exp-3');
  expect(() => second?.grant(part('exp-1'))).toThrow('the command was stop exp-2');
  const [, third] = (await begin(world, world.mint(SEVERAL))).split();
  expect(third?.grant(part('exp-2')).argv).toEqual(['stop', 'exp-2']);
  expect(() => third?.grant(part('exp-2'))).toThrow('a redemption grants one consent');
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

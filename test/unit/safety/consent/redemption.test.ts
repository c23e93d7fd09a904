import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Binding, Operation, PendingChange, PendingPart } from '../../../../src/core/change.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { describeDifferences } from '../../../../src/safety/consent/redemption.ts';
import type { Redemption } from '../../../../src/safety/consent/redemption.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { ask, refusal, setUp } from '../../../support/set-up-gate.ts';
import type { Result } from '../../../support/set-up-gate.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

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

const word = fc.stringMatching(/^[a-z0-9./-]{1,8}$/);
const binding: fc.Arbitrary<Binding> = fc.record({
  tool: fc.constantFrom('apply', 'stop', 'delete'),
  resource: fc.record({ kind: word, name: fc.option(word, { nil: undefined }) }),
  project: word,
  server: word,
  cwd: word,
  files: fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true }),
  present: fc.option(word, { nil: null }),
  affected: fc.array(word, { maxLength: 3 }),
  pricePerHour: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: null }),
  mostPerHour: fc.option(fc.double({ min: 0, max: 100, noNaN: true }), { nil: null }),
  cliVersion: word,
  requests: word,
});
const change: fc.Arbitrary<PendingChange> = fc.record({
  request: fc.constant(pendingChange().request),
  operation: fc.constantFrom<Operation>('create', 'update', 'replace', 'stop', 'abort', 'delete'),
  argv: fc.array(word, { maxLength: 4 }),
  binding,
  summary: fc.constant(pendingChange().summary),
});

test('the described differences are all that differs in what a token binds, except for prices', () => {
  fc.assert(
    fc.property(change, change, (a, b) => {
      const { pricePerHour, mostPerHour } = a.binding;
      const samePrice = { ...b, binding: { ...b.binding, pricePerHour, mostPerHour } };
      // Affected resources are compared as a set.
      const boundBy = (one: PendingChange): unknown => [
        one.operation,
        one.argv,
        { ...one.binding, affected: new Set(one.binding.affected), files: withoutAbsent(one.binding.files) },
      ];
      expect(describeDifferences(a, a)).toEqual([]);
      expect(describeDifferences(a, samePrice).length === 0).toBe(isDeepStrictEqual(boundBy(a), boundBy(samePrice)));
    }),
  );
});

test('a change of any single field is described', () => {
  const mutations: ((original: Binding) => Partial<Binding>)[] = [
    ({ tool }) => ({ tool: tool === 'apply' ? 'stop' : 'apply' }),
    ({ resource }) => ({ resource: { ...resource, name: `${resource.name ?? ''}x` } }),
    ({ resource }) => ({ resource: { ...resource, kind: `${resource.kind}x` } }),
    ({ project }) => ({ project: `${project}x` }),
    ({ server }) => ({ server: `${server}x` }),
    ({ cwd }) => ({ cwd: `${cwd}x` }),
    ({ files }) => ({ files: { ...files, added: 'x' } }),
    ({ present }) => ({ present: `${present ?? ''}x` }),
    ({ affected }) => ({ affected: [...affected, 'one more'] }),
    ({ pricePerHour }) => ({ pricePerHour: (pricePerHour ?? 1) * 1.06 + 0.01 }),
    ({ mostPerHour }) => ({ mostPerHour: (mostPerHour ?? 1) * 1.06 + 0.01 }),
    ({ cliVersion }) => ({ cliVersion: `${cliVersion}x` }),
    ({ requests }) => ({ requests: `${requests ?? ''}x` }),
  ];
  fc.assert(
    fc.property(change, fc.constantFrom(...mutations), (original, mutate) => {
      const changed = { ...original, binding: { ...original.binding, ...mutate(original.binding) } };
      expect(describeDifferences(original, changed)).not.toEqual([]);
    }),
  );
});

test('a price may fall by any amount and rise by at most 5%', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 1000, noNaN: true }),
      fc.double({ min: 0, max: 3, noNaN: true }),
      (before, factor) => {
        const found = describeDifferences(
          pendingChange({ binding: { pricePerHour: before } }),
          pendingChange({ binding: { pricePerHour: before * factor } }),
        );
        expect(found.length).toBe(before * factor <= before * 1.05 ? 0 : 1);
      },
    ),
  );
});

test('the order in which files are listed makes no difference', () => {
  const a = pendingChange({ binding: { files: { one: '1', two: '2' } } });
  const b = pendingChange({ binding: { files: { two: '2', one: '1' } } });
  expect(describeDifferences(a, b)).toEqual([]);
});

function withoutAbsent(files: Binding['files']): Binding['files'] {
  return Object.fromEntries(Object.entries(files).filter(([, hash]) => hash !== 'absent'));
}

test.each<[string, Parameters<typeof pendingChange>[0], Parameters<typeof pendingChange>[0], string]>([
  ['the tool', {}, { binding: { tool: 'stop' } }, 'the tool was apply, now it is stop'],
  ['the name to type', {}, { nameToType: 'train' }, 'the name to type was , now it is train'],
  [
    'a resource that has a name now',
    { binding: { resource: { kind: 'fleet' } } },
    { binding: { resource: { kind: 'fleet', name: 'f1' } } },
    'the resource was fleet, now it is fleet f1',
  ],
  [
    'the command',
    { argv: ['apply', '--file', 'a b.yml', '', '-d'] },
    { argv: ['apply', '--file=a', 'b.yml', 'x$', '-d'] },
    'the command was apply --file "a b.yml" "" -d, now it is apply --file=a b.yml "x$" -d',
  ],
  [
    'a run that exists now',
    { binding: { present: null } },
    { binding: { present: 'id2' } },
    'a task train exists now (id2)',
  ],
  [
    'a run that no longer exists',
    { binding: { present: 'id1' } },
    { binding: { present: null } },
    'the task train (id1) no longer exists',
  ],
  [
    'a different run',
    { binding: { present: 'id1' } },
    { binding: { present: 'id2' } },
    'the task train is a different one now (id2 instead of id1)',
  ],
  [
    'more affected resources',
    { binding: { affected: [] } },
    { binding: { affected: ['a', 'b'] } },
    'it would now also affect: a, b',
  ],
  [
    'fewer affected resources',
    { binding: { affected: ['a', 'b'] } },
    { binding: { affected: [] } },
    'it would no longer affect: a, b',
  ],
  [
    'a price that is known now',
    { binding: { pricePerHour: null } },
    { binding: { pricePerHour: 2 } },
    'the price was unknown, now it is $2.00/h',
  ],
  [
    'a price that is no longer known',
    { binding: { pricePerHour: 2 } },
    { binding: { pricePerHour: null } },
    'the price was $2.00/h, now it is unknown',
  ],
  [
    'a higher limit of the price',
    { binding: { mostPerHour: 2 } },
    { binding: { mostPerHour: 3 } },
    'the highest possible price rose from $2.00/h to $3.00/h',
  ],
])('the difference is described: %s', (_what, before, after, words) => {
  expect(describeDifferences(pendingChange(before), pendingChange(after))).toEqual([words]);
});

test('files are described one by one, in the order of their paths', () => {
  const before = { '/z': '1', '/a': '1', '/gone': '1', '/new': 'absent', '/same': '1' };
  const after = { '/a': '2', '/z': '2', '/gone': 'absent', '/new': '1', '/same': '1', '/other': '1' };
  expect(
    describeDifferences(pendingChange({ binding: { files: before } }), pendingChange({ binding: { files: after } })),
  ).toEqual([
    'the file /a was edited',
    'the file /gone is gone',
    'the file /new has appeared',
    'the file /other has appeared',
    'the file /z was edited',
  ]);
});

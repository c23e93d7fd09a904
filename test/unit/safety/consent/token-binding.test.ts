import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import type { AuditEntry } from '../../../../src/safety/audit/audit-log.ts';
import { spendConsent } from '../../../../src/safety/consent/consent.ts';
import type { ApprovalContext } from '../../../../src/safety/consent/gate.ts';
import type { Binding, Operation, PendingChange } from '../../../../src/core/change.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { TestGate } from '../../../support/set-up-gate.ts';
import { propertyRuns } from '../../../support/effort.ts';

const word = fc.stringMatching(/^[a-z0-9./-]{1,8}$/);
const change: fc.Arbitrary<PendingChange> = fc
  .record({
    operation: fc.constantFrom<Operation>('create', 'update', 'replace', 'stop', 'abort', 'delete'),
    argv: fc.array(word, { minLength: 1, maxLength: 6 }),
    binding: fc.record({
      tool: fc.constantFrom('apply', 'stop', 'delete'),
      resource: fc.record({ kind: word, name: word }),
      project: word,
      server: word,
      cwd: word,
      files: fc.dictionary(word, word, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
      present: fc.option(word, { nil: null }),
      affected: fc.uniqueArray(word, { maxLength: 3 }),
      pricePerHour: fc.option(fc.double({ min: 0.01, max: 100, noNaN: true }), { nil: null }),
      mostPerHour: fc.option(fc.double({ min: 0.01, max: 100, noNaN: true }), { nil: null }),
      cliVersion: word,
      requests: word,
    }),
  })
  .map((options) => pendingChange(options));

/** Everything that a token binds, each changed alone. */
const CHANGES: Readonly<Record<string, (change: PendingChange) => Partial<PendingChange>>> = {
  operation: ({ operation }) => ({ operation: operation === 'create' ? 'update' : 'create' }),
  'a word more': ({ argv }) => ({ argv: [...argv, '--force'] }),
  'a word less': ({ argv }) => ({ argv: argv.slice(1) }),
  'another word': ({ argv }) => ({ argv: [...argv.slice(0, -1), `${argv.at(-1) ?? ''}x`] }),
  'words glued': ({ argv }) => ({ argv: [`${argv[0] ?? ''} ${argv[1] ?? 'x'}`, ...argv.slice(2)] }),
  'kind of resource': bound(({ resource }) => ({ resource: { ...resource, kind: `${resource.kind}x` } })),
  'name of the resource': bound(({ resource }) => ({ resource: { ...resource, name: `${resource.name ?? ''}x` } })),
  project: bound(({ project }) => ({ project: `${project}x` })),
  server: bound(({ server }) => ({ server: `${server}x` })),
  'working directory': bound(({ cwd }) => ({ cwd: `${cwd}x` })),
  'a file edited': bound(({ files }) => ({
    files: Object.fromEntries(Object.entries(files).map(([path, hash]) => [path, `${hash}x`])),
  })),
  'a file gone': bound(() => ({ files: {} })),
  'a profile that appeared': bound(({ files }) => ({ files: { ...files, '/home/.dstack/profiles.yml': 'x' } })),
  'what is there': bound(({ present }) => ({ present: `${present ?? ''}x` })),
  'what is no longer there': bound(({ present }) => ({ present: present === null ? 'x' : null })),
  'more that is hit': bound(({ affected }) => ({ affected: [...affected, 'one more'] })),
  'a higher price': bound(({ pricePerHour }) => ({ pricePerHour: (pricePerHour ?? 1) * 1.0501 })),
  'a higher limit of the price': bound(({ mostPerHour }) => ({ mostPerHour: (mostPerHour ?? 1) * 1.0501 })),
  'an unknown limit of the price': bound(({ mostPerHour }) => ({ mostPerHour: mostPerHour === null ? 1 : null })),
  'an unknown price': bound(({ pricePerHour }) => ({ pricePerHour: pricePerHour === null ? 1 : null })),
  'a price that is not a number': bound(() => ({ pricePerHour: Number.NaN })),
  'requests that dstack may send': bound(({ requests }) => ({ requests: `${requests ?? ''}x` })),
  'version of the CLI': bound(({ cliVersion }) => ({ cliVersion: `${cliVersion}x` })),
  'the name to type': ({ nameToType }) => ({ nameToType: `${nameToType ?? ''}x` }),
};

function bound(change: (binding: Binding) => Partial<Binding>): (of: PendingChange) => Partial<PendingChange> {
  return ({ binding }) => ({ binding: { ...binding, ...change(binding) } });
}

const ask = (): ApprovalContext => ({ canAskPerson: false, waitMs: 1_000 });

function setUp() {
  const written: AuditEntry[] = [];
  const gate = new TestGate<{ outcome: string }>({
    policy: { requirementFor: () => 'token' },
    audit: { write: (entry) => void written.push(entry) },
  });
  return { gate, written };
}

test.each(Object.entries(CHANGES))(
  'a token is not redeemed, nor any time later, after a change of: %s',
  async (_what, alter) => {
    await fc.assert(
      fc.asyncProperty(change, async (shown) => {
        const { gate, written } = setUp();
        const { token } = gate.mint(shown);
        const steps = (now: PendingChange) => ({
          replan: () => Promise.resolve(now),
          execute: () => Promise.reject(new TypeError('it was executed')),
        });
        for (const now of [{ ...shown, ...alter(shown) }, shown]) {
          const refusal: unknown = await gate.redeem(token, ask(), steps(now)).catch((error: unknown) => error);
          expect(refusal).toBeInstanceOf(ToolError);
          expect(refusal).toMatchObject({ code: 'plan-changed' });
        }
        expect(written.map(({ event }) => event)).toEqual(['asked', 'refused']);
        await gate.close();
      }),
      { numRuns: propertyRuns(10) },
    );
  },
);

test('the unchanged plan is executed, with a consent for exactly its words', async () => {
  await fc.assert(
    fc.asyncProperty(change, async (shown) => {
      const { gate, written } = setUp();
      const { token } = gate.mint(shown);
      const redeemed = await gate.redeem(token, ask(), {
        replan: () => Promise.resolve({ ...shown }),
        execute: (consent) => {
          expect(spendConsent(consent, [...shown.argv, 'x'])).toBe(false);
          expect(spendConsent(consent, shown.argv.slice(1))).toBe(false);
          expect(spendConsent(consent, shown.argv)).toBe(true);
          expect(spendConsent(consent, shown.argv)).toBe(false);
          return Promise.resolve({ outcome: 'done' });
        },
      });
      expect(redeemed).toMatchObject({ kind: 'redeemed', repeated: false, result: { outcome: 'done' } });
      expect(written.map(({ event }) => event)).toEqual(['asked', 'approved', 'done']);
    }),
    { numRuns: propertyRuns(20) },
  );
});

test('of any number of redemptions at once, whatever the order in which their steps end, one executes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 50 }),
      fc.scheduler(),
      fc.boolean(),
      async (many, scheduler, goesWell) => {
        const { gate } = setUp();
        const shown = pendingChange();
        const { token } = gate.mint(shown);
        let executed = 0;
        const redemptions = Array.from({ length: many }, () =>
          gate
            .redeem(token, ask(), {
              replan: () => scheduler.schedule(Promise.resolve(shown), 'replan'),
              execute: async () => {
                executed += 1;
                await scheduler.schedule(Promise.resolve(), 'execute');
                if (!goesWell) throw new Error('the command was lost');
                return { outcome: 'done' };
              },
            })
            .then(
              (redemption) => (redemption.kind === 'redeemed' ? redemption.repeated : 'asked'),
              () => 'failed',
            ),
        );
        const answers = await scheduler.waitFor(Promise.all(redemptions));
        expect(executed).toBe(1);
        expect(answers.filter((answer) => answer === (goesWell ? true : 'failed'))).toHaveLength(
          goesWell ? many - 1 : many,
        );
        // And once more when all is over.
        await gate
          .redeem(token, ask(), {
            replan: () => Promise.resolve(shown),
            execute: () => Promise.reject(new TypeError()),
          })
          .catch(() => undefined);
        expect(executed).toBe(1);
      },
    ),
    { numRuns: propertyRuns(20) },
  );
});

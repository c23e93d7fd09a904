import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import type { Operation } from '../../../../src/core/change.ts';
import type { Requirement } from '../../../../src/safety/policy/policy.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { ask, refusal, setUp, yes } from '../../../support/set-up-gate.ts';
import { propertyRuns } from '../../../support/effort.ts';

const TYPED: readonly Operation[] = ['replace', 'abort', 'delete'];
const CLICKED: readonly Operation[] = ['create', 'update', 'stop'];

describe('a click on Approve', () => {
  test.each(CLICKED)('makes a %s immediately, and the token returns the result to the model', async (operation) => {
    const { gate, steps, show, consents, audit } = setUp({ requirementFor: () => 'person' });
    const { token, nonce } = show(pendingChange({ operation }));
    const clicked = await gate.decide({ nonce, decision: 'approve' }, steps);
    expect(clicked).toMatchObject({ kind: 'redeemed', level: 'person-card', repeated: false, result: { run: 1 } });
    expect(consents.map(({ level }) => level)).toEqual(['person-card']);
    const repeated = await gate.redeem(token, ask(), steps);
    expect(repeated).toMatchObject({ kind: 'redeemed', level: 'person-card', repeated: true, result: { run: 1 } });
    expect(consents).toHaveLength(1);
    expect(audit.map(({ event, level, outcome }) => [event, level, outcome])).toEqual([
      ['asked', undefined, undefined],
      ['approved', 'person-card', undefined],
      ['done', 'person-card', 'done'],
    ]);
  });

  test('works once: a second one gets the first result, and nothing is repeated', async () => {
    const { gate, steps, show, consents } = setUp();
    const { nonce } = show();
    await gate.decide({ nonce, decision: 'approve' }, steps);
    for (const decision of ['approve', 'decline'] as const) {
      const again = await gate.decide({ nonce, decision }, steps);
      expect(again).toMatchObject({ kind: 'redeemed', repeated: true, result: { run: 1 } });
    }
    expect(consents).toHaveLength(1);
  });

  test('is for what was shown: if something changed, nothing is done and the token ends', async () => {
    const { gate, steps, show, consents, setWorld } = setUp();
    const { token, nonce } = show();
    setWorld(pendingChange({ binding: { pricePerHour: 2 } }));
    const changed = await refusal(gate.decide({ nonce, decision: 'approve' }, steps));
    expect(changed.code).toBe('plan-changed');
    expect(changed.message).toMatch(/the price rose from \$1\.00\/h to \$2\.00\/h/);
    setWorld(pendingChange());
    expect((await refusal(gate.decide({ nonce, decision: 'approve' }, steps))).code).toBe('plan-changed');
    expect((await refusal(gate.redeem(token, ask(), steps))).code).toBe('plan-changed');
    expect(consents).toEqual([]);
  });

  test('survives a passing fault: the approval stays, and the next click or token makes the change', async () => {
    const { gate, steps, show, consents, setWorld } = setUp({ requirementFor: () => 'person' });
    const first = show();
    setWorld(new ToolError('timed-out', 'dstack did not answer.', 'Try again.'));
    expect((await refusal(gate.decide({ nonce: first.nonce, decision: 'approve' }, steps))).code).toBe('timed-out');
    setWorld(pendingChange());
    expect(await gate.redeem(first.token, ask(), steps)).toMatchObject({ level: 'person-card', repeated: false });
    expect(consents.map(({ level }) => level)).toEqual(['person-card']);
  });

  test("isn't enough if the audit log can't be written", async () => {
    const { gate, steps, show, consents } = setUp({
      audit: {
        write: () => {
          throw new ToolError('audit-unavailable', 'The audit log cannot be written.', 'Free the disk.');
        },
      },
    });
    const { nonce } = show();
    expect((await refusal(gate.decide({ nonce, decision: 'approve' }, steps))).code).toBe('audit-unavailable');
    expect(consents).toEqual([]);
    // A rejection needs no line: it changes nothing.
    expect((await refusal(gate.decide({ nonce, decision: 'decline' }, steps))).code).toBe('person-declined');
  });
});

describe('a click on Decline', () => {
  test('closes the token for the card and for the model, and is in the audit log', async () => {
    const { gate, steps, show, consents, audit } = setUp({ requirementFor: () => 'allow' });
    const { token, nonce } = show();
    const no = await refusal(gate.decide({ nonce, decision: 'decline' }, steps));
    expect([no.code, no.message]).toEqual([
      'person-declined',
      'The user declined. Nothing was changed; the token is no longer valid.',
    ]);
    expect(await refusal(gate.decide({ nonce, decision: 'approve' }, steps))).toBe(no);
    expect(await refusal(gate.redeem(token, ask(), steps))).toBe(no);
    expect(consents).toEqual([]);
    expect(audit.map(({ event, why }) => [event, why])).toEqual([
      ['asked', undefined],
      ['refused', `person-declined: ${no.message}`],
    ]);
  });
});

describe('if a name has to be typed', () => {
  test.each(TYPED)('a %s is made with the name, and not by a click alone', async (operation) => {
    const { gate, steps, show, consents } = setUp();
    const { nonce } = show(pendingChange({ operation }));
    const without = await refusal(gate.decide({ nonce, decision: 'approve' }, steps));
    expect([without.code, without.message, without.hint]).toEqual([
      'wrong-name',
      "The typed name isn't train. Nothing was changed.",
      'Type that name to approve, or decline; 2 tries are left.',
    ]);
    expect(consents).toEqual([]);
    expect(await gate.decide({ nonce, decision: 'approve', name: ' train ' }, steps)).toMatchObject({
      level: 'person-card',
      repeated: false,
    });
    expect(consents).toHaveLength(1);
  });

  test('the third wrong name is a rejection', async () => {
    const { gate, steps, show, consents, audit } = setUp();
    const { token, nonce } = show(pendingChange({ operation: 'delete' }));
    const type = (name: string): Promise<ToolError> =>
      refusal(gate.decide({ nonce, decision: 'approve', name }, steps));
    expect((await type('Train')).code).toBe('wrong-name');
    expect((await type('trai')).hint).toMatch(/one try is left/);
    expect((await type('')).message).toMatch(/a name other than train, which counts as a rejection/);
    expect((await type('train')).code).toBe('person-declined');
    expect((await refusal(gate.redeem(token, ask(), steps))).code).toBe('person-declined');
    expect(consents).toEqual([]);
    expect(audit.map(({ event }) => event)).toEqual(['asked', 'refused', 'refused', 'refused']);
  });

  test("wrong names in one card don't count for another", async () => {
    const { gate, steps, show } = setUp();
    const change = pendingChange({ operation: 'delete' });
    const [one, other] = [show(change), show(change)];
    for (const { nonce } of [one, other, one, other]) {
      const wrong = await refusal(gate.decide({ nonce, decision: 'approve', name: 'no' }, steps));
      expect(wrong.code).toBe('wrong-name');
    }
    expect(await gate.decide({ nonce: one.nonce, decision: 'approve', name: 'train' }, steps)).toMatchObject({
      kind: 'redeemed',
    });
  });
});

describe('a nonce', () => {
  test('is 128 bits, differs for each card, and contains nothing of the token', () => {
    const { show } = setUp();
    const shown = Array.from({ length: 50 }, () => show());
    expect(new Set(shown.map(({ nonce }) => nonce)).size).toBe(50);
    for (const { token, nonce } of shown) {
      expect(nonce).toMatch(/^[0-9a-f]{32}$/);
      expect(nonce).not.toContain(token.slice(0, 7));
    }
  });

  test('is returned only for a card', () => {
    const { gate } = setUp();
    expect(gate.mint(pendingChange())).not.toHaveProperty('nonce');
    expect(gate.mint(pendingChange(), { card: false })).not.toHaveProperty('nonce');
  });

  test('that was forged or altered decides nothing, nor does a token in its place', async () => {
    const { gate, steps, show, consents } = setUp();
    const { token, nonce } = show();
    const forged = ['', ' ', '0'.repeat(32), token, nonce.slice(1), `${nonce}0`, nonce.toUpperCase(), ` ${nonce}`];
    for (const guess of forged.filter((one) => one !== nonce)) {
      for (const decision of ['approve', 'decline'] as const) {
        const unknown = await refusal(gate.decide({ nonce: guess, decision }, steps));
        expect([unknown.code, unknown.message]).toEqual([
          'token-unknown',
          "Unknown card: this server didn't show it, or was restarted since. This click changed nothing.",
        ]);
      }
    }
    // Nor is it a token.
    expect((await refusal(gate.redeem(nonce, ask(), steps))).code).toBe('token-unknown');
    expect(consents).toEqual([]);
    expect(await gate.decide({ nonce, decision: 'approve' }, steps)).toMatchObject({ kind: 'redeemed' });
  });

  test('of one change decides only that one', async () => {
    const { gate, steps, show, consents, setWorld } = setUp();
    const other = show(pendingChange({ argv: ['apply', '-f', 'other.dstack.yml', '-y', '-d'] }));
    const { nonce } = show();
    setWorld(pendingChange());
    await gate.decide({ nonce, decision: 'approve' }, steps);
    expect(consents.map(({ argv }) => argv)).toEqual([pendingChange().argv]);
    expect(await gate.redeem(other.token, ask(), steps)).toMatchObject({ kind: 'waiting-for-person' });
  });

  test('expires with its token', async () => {
    const { gate, steps, show, pass, consents } = setUp({ lifeMs: 60_000 });
    const [early, late] = [show(), show()];
    pass(59_999);
    expect(await gate.decide({ nonce: early.nonce, decision: 'approve' }, steps)).toMatchObject({ kind: 'redeemed' });
    pass(1);
    const expired = await refusal(gate.decide({ nonce: late.nonce, decision: 'approve' }, steps));
    expect([expired.code, expired.message]).toEqual([
      'token-expired',
      'This token has expired: it was valid for 1 minutes. Nothing was changed.',
    ]);
    expect((await refusal(gate.redeem(late.token, ask(), steps))).code).toBe('token-expired');
    expect(consents).toHaveLength(1);
  });

  test('ends with the server', async () => {
    const { gate, steps, show } = setUp();
    const { nonce } = show();
    await gate.close();
    expect((await refusal(gate.decide({ nonce, decision: 'approve' }, steps))).code).toBe('token-expired');
  });
});

describe('the token, while the card waits', () => {
  test.each<Requirement>(['ask', 'person'])('does nothing on its own if the policy says %s', async (requirement) => {
    const { gate, steps, show, consents } = setUp({
      requirementFor: () => requirement,
      // Not even a dialog is opened in addition to the card.
      dialog: {
        availability: () => ({ kind: 'available', tool: 'zenity' }),
        ask: () => Promise.reject(new Error('asked in a dialog')),
      },
    });
    const { token, nonce } = show();
    for (let again = 0; again < 3; again += 1) {
      expect(await gate.redeem(token, ask({ waitMs: 60_000 }), steps)).toEqual({
        kind: 'waiting-for-person',
        message: 'The card asks the user about this change. Nothing was changed yet.',
        next: 'Ask the user to approve or decline it in the card. Once they have, call the tool again with the same token: it returns the result.',
      });
    }
    expect(consents).toEqual([]);
    await gate.decide({ nonce, decision: 'approve' }, steps);
    expect(await gate.redeem(token, ask(), steps)).toMatchObject({ level: 'person-card', repeated: true });
  });

  test.each<[Requirement, string]>([
    ['token', 'token'],
    ['allow', 'policy'],
  ])('is enough where the policy says %s', async (requirement, level) => {
    const { gate, steps, show } = setUp({ requirementFor: () => requirement });
    const { token, nonce } = show();
    expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed', level });
    // The card is late: what was done stays done, under the consent that it had.
    expect(await gate.decide({ nonce, decision: 'decline' }, steps)).toMatchObject({ level, repeated: true });
  });

  test('asks in the form if the client has both, and the first of the two answers counts', async () => {
    const { gate, steps, show, consents } = setUp({ requirementFor: () => 'person' });
    const inForm = ask({ canAskPerson: true });
    const clicked = show();
    const question = await gate.redeem(clicked.token, inForm, steps);
    if (question.kind !== 'question') throw new Error('no question');
    await gate.decide({ nonce: clicked.nonce, decision: 'approve' }, steps);
    const late = { kind: 'declined', nonce: question.nonce } as const;
    expect(await gate.redeem(clicked.token, { ...inForm, answer: late }, steps)).toMatchObject({
      level: 'person-card',
      repeated: true,
    });

    const typed = show();
    const second = await gate.redeem(typed.token, inForm, steps);
    if (second.kind !== 'question') throw new Error('no question');
    await gate.redeem(typed.token, { ...inForm, answer: yes(second.nonce) }, steps);
    expect(await gate.decide({ nonce: typed.nonce, decision: 'approve' }, steps)).toMatchObject({
      level: 'person-form',
      repeated: true,
    });

    const refused = show();
    const third = await gate.redeem(refused.token, inForm, steps);
    if (third.kind !== 'question') throw new Error('no question');
    await gate.decide({ nonce: refused.nonce, decision: 'decline' }, steps).catch(() => undefined);
    const no = await refusal(gate.redeem(refused.token, { ...inForm, answer: yes(third.nonce) }, steps));
    expect(no.code).toBe('person-declined');
    expect(consents.map(({ level }) => level)).toEqual(['person-card', 'person-form']);
  });

  test('needs no click if no card was shown with it', async () => {
    const { gate, steps, mint } = setUp();
    expect(await gate.redeem(mint(), ask(), steps)).toMatchObject({ kind: 'redeemed', level: 'token' });
  });
});

describe('at the same time', () => {
  test('fifty clicks make the change once, and all get that result', async () => {
    const { gate, steps, show, consents } = setUp();
    const { nonce } = show();
    const all = await Promise.all(Array.from({ length: 50 }, () => gate.decide({ nonce, decision: 'approve' }, steps)));
    expect(consents).toHaveLength(1);
    expect(all.map((one) => one.kind === 'redeemed' && one.result.run)).toEqual(Array(50).fill(1));
    expect(all.filter((one) => one.kind === 'redeemed' && !one.repeated)).toHaveLength(1);
  });

  test('any mix of clicks and tokens makes the change once after an approval, and never after a rejection', async () => {
    const act = fc.constantFrom('approve', 'decline', 'wrong-name', 'token', 'forged');
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 1, maxLength: 30 }),
        fc.constantFrom<Requirement>('person', 'ask', 'token', 'allow'),
        async (acts, requirement) => {
          const { gate, steps, show, consents, audit } = setUp({ requirementFor: () => requirement });
          const { token, nonce } = show(pendingChange({ operation: 'replace' }));
          const answers = await Promise.allSettled(
            acts.map((one) => {
              if (one === 'token') return gate.redeem(token, ask(), steps);
              if (one === 'forged') return gate.decide({ nonce: 'f'.repeat(31), decision: 'approve' }, steps);
              if (one === 'decline') return gate.decide({ nonce, decision: 'decline' }, steps);
              return gate.decide({ nonce, decision: 'approve', name: one === 'approve' ? 'train' : 'other' }, steps);
            }),
          );
          expect(consents.length).toBeLessThanOrEqual(1);
          expect(audit.filter(({ event }) => event === 'done')).toHaveLength(consents.length);
          // The first answer that decides is the one that counts.
          const byToken = requirement === 'token' || requirement === 'allow';
          let wrong = 0;
          const first = acts.find((one) => {
            wrong += one === 'wrong-name' ? 1 : 0;
            return one === 'approve' || one === 'decline' || wrong === 3 || (byToken && one === 'token');
          });
          const expected = first === 'approve' ? ['person-card'] : first === 'token' ? [byToken && requirement] : [];
          expect(consents.map(({ level }) => (level === 'policy' ? 'allow' : level))).toEqual(expected);
          const redeemed = answers.filter((one) => one.status === 'fulfilled' && one.value.kind === 'redeemed');
          expect(redeemed.length > 0).toBe(consents.length === 1);
        },
      ),
      { numRuns: propertyRuns(60) },
    );
  });
});

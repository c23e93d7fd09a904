import { describe, expect, test } from 'vitest';
import type { Dialog } from '../../../../src/safety/dialog/dialog.ts';
import type { DialogAnswer } from '../../../../src/safety/dialog/dialog-commands.ts';
import type { Answer, Question } from '../../../../src/core/report.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { YES, ask, refusal, setUp } from '../../../support/set-up-gate.ts';

const IN_FORM = ask({ canAskPerson: true });

/** Redeems a token up to the question. */
async function questionFor({ gate, steps }: ReturnType<typeof setUp>, token: string): Promise<Question> {
  const question = await gate.redeem(token, IN_FORM, steps);
  if (question.kind !== 'question') throw new Error('no question');
  return question;
}

const dialogThat = (answer: DialogAnswer): Dialog => ({
  availability: () => ({ kind: 'available', tool: 'zenity' }),
  ask: () => Promise.resolve(answer),
});

const ANSWERS: readonly (readonly [string, (nonce: string) => Answer])[] = [
  ['declined', (nonce) => ({ kind: 'declined', nonce })],
  ['closed', (nonce) => ({ kind: 'cancelled', nonce })],
  ['accepted with a yes', (nonce) => ({ kind: 'accepted', content: YES, nonce })],
];

describe.each(ANSWERS)('a form that was %s before a person could have read it', (_how, answer) => {
  test.each([0, 3, 27, 186, 499])('after %i ms counts for nobody, and leaves the token valid', async (readMs) => {
    const set = setUp({ readMs });
    const { gate, steps, audit, consents } = set;
    const token = set.mint();
    const { nonce } = await questionFor(set, token);
    const refused = await refusal(gate.redeem(token, { ...IN_FORM, answer: answer(nonce) }, steps));
    expect(refused.code).toBe('nobody-asked');
    expect(refused.message).toMatch(/^Nobody was asked: .*Nothing was changed; the token is still valid\.$/);
    expect(refused.message + refused.hint).not.toMatch(/user (?:declined|rejected)|person-declined/);
    expect(refused.hint).toContain('call the tool again with the same token');
    expect(audit.map(({ event, why }) => [event, why?.split(':')[0]])).toEqual([
      ['asked', undefined],
      ['refused', 'nobody-asked'],
    ]);
    // Never by the token alone, even if the client no longer shows forms at all.
    expect((await refusal(gate.redeem(token, ask(), steps))).code).toBe('nobody-asked');
    expect(consents).toEqual([]);
    // Where a person sees the form after all, their answer counts.
    const again = await questionFor(set, token);
    set.pass(500);
    const approved = { kind: 'accepted', content: YES, nonce: again.nonce } as const;
    expect(await gate.redeem(token, { ...IN_FORM, answer: approved }, steps)).toMatchObject({ level: 'person-form' });
  });

  test('is followed by the dialog, where there is one', async () => {
    const set = setUp({ readMs: 1, dialog: dialogThat({ kind: 'approved' }) });
    const token = set.mint();
    const { nonce } = await questionFor(set, token);
    const answered = { ...IN_FORM, answer: answer(nonce), waitMs: 60_000 };
    expect(await set.gate.redeem(token, answered, set.steps)).toMatchObject({ level: 'person-dialog' });
    expect(set.audit.map(({ event }) => event)).toEqual(['asked', 'refused', 'approved', 'done']);
  });

  test('is refused if the dialog can’t be shown either: the token alone is never sufficient', async () => {
    const set = setUp({ readMs: 1, dialog: dialogThat({ kind: 'unavailable', why: 'no display' }) });
    const token = set.mint();
    const { nonce } = await questionFor(set, token);
    const answered = { ...IN_FORM, answer: answer(nonce), waitMs: 60_000 };
    expect((await refusal(set.gate.redeem(token, answered, set.steps))).code).toBe('nobody-asked');
    expect(set.consents).toEqual([]);
  });

  test.each(['ask', 'person'] as const)('names no setting that would change that (%s)', async (requirement) => {
    const set = setUp({ readMs: 1, requirementFor: () => requirement });
    const token = set.mint();
    const { nonce } = await questionFor(set, token);
    const refused = await refusal(set.gate.redeem(token, { ...IN_FORM, answer: answer(nonce) }, set.steps));
    expect(refused.code).toBe('nobody-asked');
    expect(refused.hint).not.toMatch(/DSTACK_MCP|unattended/);
  });
});

test('an answer after half a second is the person’s', async () => {
  const set = setUp({ readMs: 500 });
  const token = set.mint();
  const { nonce } = await questionFor(set, token);
  const answer = { kind: 'declined', nonce } as const;
  expect((await refusal(set.gate.redeem(token, { ...IN_FORM, answer }, set.steps))).code).toBe('person-declined');
});

test('a form that the client can’t show, whenever it says so, leaves the change as in a client without forms', async () => {
  for (const readMs of [0, 5_000]) {
    const set = setUp({ readMs });
    const token = set.mint();
    const { nonce } = await questionFor(set, token);
    const answer = { kind: 'unusable', nonce } as const;
    expect(await set.gate.redeem(token, { ...IN_FORM, answer }, set.steps)).toMatchObject({ level: 'token' });
  }
  const strict = setUp({ requirementFor: () => 'person' });
  const token = strict.mint();
  const { nonce } = await questionFor(strict, token);
  const answer = { kind: 'unusable', nonce } as const;
  expect((await refusal(strict.gate.redeem(token, { ...IN_FORM, answer }, strict.steps))).code).toBe('person-needed');
});

test('while a form is open, a call from where it can’t be shown waits for its answer', async () => {
  const set = setUp({ dialog: dialogThat({ kind: 'approved' }) });
  const token = set.mint();
  const { nonce } = await questionFor(set, token);
  expect(await set.gate.redeem(token, ask(), set.steps)).toMatchObject({
    kind: 'waiting-for-person',
    message: expect.stringContaining('form'),
  });
  const answer = { kind: 'accepted', content: YES, nonce } as const;
  expect(await set.gate.redeem(token, { ...IN_FORM, answer }, set.steps)).toMatchObject({ level: 'person-form' });
  expect(set.consents).toHaveLength(1);
});

describe('a declared card', () => {
  /** Mints for a client that declares cards, whose page doesn't report itself. */
  function declare(options: Parameters<typeof setUp>[0] = {}) {
    const set = setUp({ cardLoadMs: 0, ...options });
    const { token, nonce } = set.gate.mint(pendingChange(), { card: true });
    if (nonce === undefined) throw new Error('no nonce');
    return { ...set, token, nonce };
  }

  test('that is never shown doesn’t hold up the change', async () => {
    const { gate, steps, token } = declare();
    expect(await gate.redeem(token, ask({ waitMs: 60_000 }), steps)).toMatchObject({ level: 'token' });
  });

  test('that is never shown isn’t a person', async () => {
    const { gate, steps, token } = declare({ requirementFor: () => 'person' });
    expect((await refusal(gate.redeem(token, ask({ waitMs: 60_000 }), steps))).code).toBe('person-needed');
  });

  test('that is never shown is followed by a dialog', async () => {
    const { gate, steps, token } = declare({ dialog: dialogThat({ kind: 'approved' }) });
    expect(await gate.redeem(token, ask({ waitMs: 60_000 }), steps)).toMatchObject({ level: 'person-dialog' });
  });

  test('whose page is still loading is waited for, and then decides', async () => {
    const { gate, steps, token, nonce } = declare({ cardLoadMs: 3_600_000 });
    expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'waiting-for-person' });
    const waiting = gate.redeem(token, ask({ waitMs: 60_000 }), steps);
    gate.show(nonce);
    expect(await waiting).toMatchObject({ kind: 'waiting-for-person', message: expect.stringContaining('card') });
    expect(await gate.decide({ nonce, decision: 'approve' }, steps)).toMatchObject({ level: 'person-card' });
  });

  test('that is shown late counts from then on', async () => {
    const { gate, steps, token, nonce } = declare({ requirementFor: () => 'person' });
    await refusal(gate.redeem(token, ask({ waitMs: 60_000 }), steps));
    gate.show(nonce);
    expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'waiting-for-person' });
  });

  test('of another server or time is unknown', async () => {
    const { gate } = declare();
    expect(() => gate.show('0'.repeat(32))).toThrow(/Unknown card/);
  });
});

test('after a dialog that was announced and failed, the token counts only once it is known that nobody was asked', async () => {
  const set = setUp({ dialog: dialogThat({ kind: 'unavailable', why: 'no display' }) });
  const token = set.mint();
  const context = { canAskPerson: false, waitMs: 60_000 };
  expect(await refusal(set.gate.redeem(token, context, set.steps))).toMatchObject({
    code: 'nobody-asked',
    message: expect.stringContaining("couldn't be shown (no display)"),
    hint: expect.stringContaining('Only after they approve it'),
  });
  expect(set.consents).toEqual([]);
  expect(await set.gate.redeem(token, context, set.steps)).toMatchObject({ level: 'token' });
  expect(set.audit.map(({ event }) => event)).toEqual(['asked', 'refused', 'approved', 'done']);
});

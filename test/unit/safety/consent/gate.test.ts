import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { spendConsent } from '../../../../src/safety/consent/consent.ts';
import type { Operation } from '../../../../src/core/change.ts';
import type { DialogAnswer } from '../../../../src/safety/dialog/dialog-commands.ts';
import type { Dialog } from '../../../../src/safety/dialog/dialog.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { YES, ask, refusal, setUp, yes } from '../../../support/set-up-gate.ts';
import type { RedeemSteps, Result } from '../../../support/set-up-gate.ts';

test('a token makes a change once, with a consent to exactly its argv', async () => {
  const { gate, steps, mint, consents } = setUp();
  const redeemed = await gate.redeem(mint(), ask(), steps);
  expect(redeemed).toMatchObject({
    kind: 'redeemed',
    level: 'token',
    repeated: false,
    unrecorded: false,
    result: { run: 1 },
  });
  expect(consents).toHaveLength(1);
  expect(consents[0]).toMatchObject({ level: 'token' });
  expect(spendConsent(consents[0], ['apply', '-f', 'other.dstack.yml', '-y', '-d'])).toBe(false);
  expect(spendConsent(consents[0], pendingChange().argv)).toBe(true);
  expect(spendConsent(consents[0], pendingChange().argv)).toBe(false);
});

test('a used token returns the result of its use, says so, and repeats nothing', async () => {
  const { gate, steps, mint, consents } = setUp();
  const token = mint();
  await gate.redeem(token, ask(), steps);
  const again = await gate.redeem(token, ask(), steps);
  expect(again).toMatchObject({ kind: 'redeemed', repeated: true, result: { run: 1 } });
  expect(consents).toHaveLength(1);
});

test('fifty concurrent redemptions make the change once, and all return its result', async () => {
  const { gate, steps, mint, consents } = setUp();
  const token = mint();
  const all = await Promise.all(Array.from({ length: 50 }, () => gate.redeem(token, ask(), steps)));
  expect(consents).toHaveLength(1);
  expect(all.every((redeemed) => redeemed.kind === 'redeemed' && redeemed.result.run === 1)).toBe(true);
  expect(all.filter((redeemed) => redeemed.kind === 'redeemed' && !redeemed.repeated)).toHaveLength(1);
});

test('fifty concurrent answers to one form make the change once', async () => {
  const { gate, steps, mint, consents } = setUp();
  const token = mint();
  const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  if (question.kind !== 'question') throw new Error('no question');
  const answer = yes(question.nonce);
  await Promise.all(Array.from({ length: 50 }, () => gate.redeem(token, ask({ canAskPerson: true, answer }), steps)));
  expect(consents).toHaveLength(1);
});

test('unknown, expired and used tokens are distinguished, and nothing is run', async () => {
  const { gate, steps, mint, consents, pass, setWorld } = setUp();
  expect(await refusal(gate.redeem('not-a-token', ask(), steps))).toMatchObject({
    code: 'token-unknown',
    hint: expect.stringContaining('plan'),
  });
  const old = mint();
  pass(10 * 60_000);
  expect(await refusal(gate.redeem(old, ask(), steps))).toMatchObject({
    code: 'token-expired',
    message: expect.stringContaining('10 minutes'),
  });
  const changed = mint();
  setWorld(pendingChange({ binding: { cliVersion: '0.23.0' } }));
  await refusal(gate.redeem(changed, ask(), steps));
  expect(await refusal(gate.redeem(changed, ask(), steps))).toMatchObject({ code: 'plan-changed' });
  expect(consents).toHaveLength(0);
});

test('a token is valid for ten minutes', async () => {
  const { gate, steps, mint, pass } = setUp();
  const token = mint();
  pass(10 * 60_000 - 1);
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed' });
});

test('the reported expiry is the enforced one', () => {
  const { gate } = setUp();
  expect(gate.mint(pendingChange()).expiresAt).toBe(new Date(1_000_000 + 10 * 60_000).toISOString());
});

test('the number of tokens is bounded: the oldest is evicted and says so', async () => {
  const { gate, steps, mint } = setUp({ maxPending: 3 });
  const tokens = [mint(), mint(), mint(), mint()];
  expect(await refusal(gate.redeem(tokens[0] ?? '', ask(), steps))).toMatchObject({
    code: 'token-expired',
    message: expect.stringContaining('newer'),
  });
  expect(await gate.redeem(tokens[1] ?? '', ask(), steps)).toMatchObject({ kind: 'redeemed' });
});

test('the number of kept results is bounded: an older token says that it was used', async () => {
  const { gate, steps, mint, consents } = setUp({ maxResults: 1 });
  const [first, second] = [mint(), mint()];
  await gate.redeem(first, ask(), steps);
  await gate.redeem(second, ask(), steps);
  mint();
  expect(await refusal(gate.redeem(first, ask(), steps))).toMatchObject({ code: 'token-used' });
  expect(await gate.redeem(second, ask(), steps)).toMatchObject({ repeated: true });
  expect(consents).toHaveLength(2);
});

test('the number of remembered tokens is bounded', async () => {
  const { gate, steps, mint } = setUp({ maxClosed: 1 });
  const [first, second] = [mint(), mint()];
  await gate.redeem(first, ask(), steps);
  await gate.redeem(second, ask(), steps);
  mint();
  expect(await refusal(gate.redeem(first, ask(), steps))).toMatchObject({ code: 'token-unknown' });
});

test.each<[string, Parameters<typeof pendingChange>[0], RegExp]>([
  [
    'the file was edited',
    {
      binding: {
        files: { '/home/me/gpu/train.dstack.yml': 'b'.repeat(64), '/home/me/gpu/.dstack/profiles.yml': 'absent' },
      },
    },
    /train\.dstack\.yml was edited/,
  ],
  [
    'a profile appeared',
    {
      binding: {
        files: { '/home/me/gpu/train.dstack.yml': 'a'.repeat(64), '/home/me/gpu/.dstack/profiles.yml': 'c'.repeat(64) },
      },
    },
    /profiles\.yml has appeared/,
  ],
  [
    'the file is gone',
    { binding: { files: { '/home/me/gpu/.dstack/profiles.yml': 'absent' } } },
    /train\.dstack\.yml is gone/,
  ],
  ['a run of the same name started', { binding: { present: 'e2c4' } }, /a task train exists now \(e2c4\)/],
  ['the action is another', { operation: 'update' }, /the action was create, now it is update/],
  ['the price rose by more than 5%', { binding: { pricePerHour: 1.0501 } }, /rose from \$1\.00\/h to \$1\.0501\/h/],
  ['the price is no longer known', { binding: { pricePerHour: null } }, /now it is unknown/],
  ['the price is not a number', { binding: { pricePerHour: Number.NaN } }, /unknown price/],
  ['the price is negative', { binding: { pricePerHour: -1 } }, /price/],
  ['the project is another', { binding: { project: 'prod' } }, /project was main, now it is prod/],
  ['the server is another', { binding: { server: 'https://evil.example' } }, /server was/],
  ['the argv has another word', { argv: ['apply', '-f', 'train.dstack.yml', '-y', '-d', '--force'] }, /command was/],
  ['two words became one', { argv: ['apply', '-f', 'train.dstack.yml', '-y -d'] }, /command was/],
  ['the working directory is another', { binding: { cwd: '/tmp' } }, /working directory/],
  ['the CLI is another', { binding: { cliVersion: '0.22.6' } }, /version 0\.22\.5, now it is 0\.22\.6/],
  ['the resource is another', { binding: { resource: { kind: 'task', name: 'serve' } } }, /resource was task train/],
  ['more would be hit', { binding: { affected: ['run other'] } }, /would now also affect: run other/],
])('a token is refused and ended if %s', async (_what, different, words) => {
  const { gate, steps, mint, setWorld, consents } = setUp();
  const token = mint();
  setWorld(pendingChange({ ...different }));
  const error = await refusal(gate.redeem(token, ask(), steps));
  expect(error).toMatchObject({ code: 'plan-changed', message: expect.stringMatching(words) });
  setWorld(pendingChange());
  await refusal(gate.redeem(token, ask(), steps));
  expect(consents).toHaveLength(0);
});

test.each([0.5, 1, 1.05])('a price of %f is still approved if 1 was shown', async (pricePerHour) => {
  const { gate, steps, mint, setWorld } = setUp();
  const token = mint();
  setWorld(pendingChange({ binding: { pricePerHour } }));
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed' });
});

test('another run of the same name is not the approved one', async () => {
  const { gate, steps, mint, setWorld } = setUp();
  const token = mint(
    pendingChange({ operation: 'stop', binding: { tool: 'stop', affected: ['instance 0', 'instance 1'] } }),
  );
  setWorld(pendingChange({ operation: 'stop', binding: { tool: 'stop', present: '77aa', affected: ['instance 0'] } }));
  const error = await refusal(gate.redeem(token, ask(), steps));
  expect(error.message).toMatch(/a different one now \(77aa instead of 1f0c\); it would no longer affect: instance 1/);
  expect(error.hint).toContain('Call stop again');
});

test('a failed second plan leaves the token valid', async () => {
  const { gate, steps, mint, setWorld } = setUp();
  const token = mint();
  setWorld(new ToolError('timed-out', 'the server did not answer', 'try again'));
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'timed-out' });
  setWorld(pendingChange());
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed', repeated: false });
});

test('a command that threw ends the token: it is never run a second time', async () => {
  const { gate, steps, mint, audit } = setUp();
  const token = mint();
  let runs = 0;
  const failing = {
    ...steps,
    async execute(): Promise<Result> {
      runs += 1;
      throw new Error('the worker died');
    },
  };
  await expect(gate.redeem(token, ask(), failing)).rejects.toThrow('the worker died');
  expect(await refusal(gate.redeem(token, ask(), failing))).toMatchObject({
    code: 'token-used',
    message: expect.stringContaining('the worker died'),
  });
  expect(runs).toBe(1);
  expect(audit.at(-1)).toMatchObject({ event: 'done', outcome: 'unknown' });
});

test('a client with forms is asked once, and only an approval in the content counts', async () => {
  const { gate, steps, mint } = setUp();
  const token = mint(pendingChange({ summary: { losses: [], warnings: ['No fleet is idle'] } }));
  const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  if (question.kind !== 'question') throw new Error('no question');
  expect(question.field).toEqual({
    kind: 'choice',
    no: 'No, do nothing',
    yes: 'Yes, create task train for $1.00 an hour',
  });
  expect(question.message).toContain('Submit the run train');
  expect(question.message).toContain('Project: main on http://127.0.0.1:3999');
  expect(question.message).toContain('$1.00/h, no limit in total');
  expect(question.message).toContain('- No fleet is idle');
  const redeemed = await gate.redeem(token, ask({ canAskPerson: true, answer: yes(question.nonce) }), steps);
  expect(redeemed).toMatchObject({ kind: 'redeemed', level: 'person-form' });
});

test.each<[string, Record<string, unknown>]>([
  ['no', { decision: 'No, do nothing' }],
  ['nothing', {}],
  ['another text', { decision: 'yes' }],
  ['the place of an option', { decision: 1 }],
  ['another field', { approve: true }],
])('a form accepted with %s is a rejection', async (_what, content) => {
  const { gate, steps, mint, consents } = setUp();
  const token = mint();
  const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  if (question.kind !== 'question') throw new Error('no question');
  const answered = ask({ canAskPerson: true, answer: yes(question.nonce, content) });
  expect(await refusal(gate.redeem(token, answered, steps))).toMatchObject({ code: 'person-declined' });
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'person-declined' });
  expect(consents).toHaveLength(0);
});

test.each(['declined', 'cancelled'] as const)(
  'a question that was %s invalidates the token, with its own error',
  async (kind) => {
    const { gate, steps, mint, audit, consents } = setUp();
    const token = mint();
    const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
    if (question.kind !== 'question') throw new Error('no question');
    const error = await refusal(
      gate.redeem(token, ask({ canAskPerson: true, answer: { kind, nonce: question.nonce } }), steps),
    );
    expect(error.message).toMatch(kind === 'declined' ? /user declined/ : /closed without an answer/);
    // A client without a person closes its form, too, and may take longer than a glance.
    expect(error).toMatchObject({ code: kind === 'declined' ? 'person-declined' : 'not-answered' });
    await refusal(gate.redeem(token, ask({ canAskPerson: true, answer: yes(question.nonce) }), steps));
    expect(consents).toHaveLength(0);
    expect(audit.map((entry) => entry.event)).toEqual(['asked', 'refused']);
  },
);

test.each<Operation>(['replace', 'abort', 'delete'])(
  '%s needs the name typed in: a click or another name is a no',
  async (operation) => {
    const cases: [Record<string, unknown>, boolean][] = [
      [{ name: 'train' }, true],
      [{ name: ' train ' }, true],
      [{ name: 'Train' }, false],
      [{ name: 'trains' }, false],
      [{ name: '' }, false],
      [{ approve: true }, false],
    ];
    for (const [content, agreed] of cases) {
      const { gate, steps, mint, consents } = setUp();
      const token = mint(pendingChange({ operation }));
      const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
      if (question.kind !== 'question') throw new Error('no question');
      expect(question.field).toEqual({ kind: 'name' });
      expect(question.message).toContain('Type the name train');
      await gate
        .redeem(token, ask({ canAskPerson: true, answer: yes(question.nonce, content) }), steps)
        .catch(() => undefined);
      expect(consents).toHaveLength(agreed ? 1 : 0);
    }
  },
);

test('a change that needs a typed name and has no name gets no token', () => {
  const { gate } = setUp();
  expect(() => gate.mint(pendingChange({ operation: 'delete', summary: { resource: { kind: 'fleet' } } }))).toThrow(
    TypeError,
  );
});

test('an answer to another question, or to none, has no effect and leaves the token valid', async () => {
  const { gate, steps, mint, consents } = setUp();
  const [mine, other] = [mint(), mint()];
  const foreign = await gate.redeem(other, ask({ canAskPerson: true }), steps);
  if (foreign.kind !== 'question') throw new Error('no question');
  expect(
    await refusal(gate.redeem(mine, ask({ canAskPerson: true, answer: yes(foreign.nonce) }), steps)),
  ).toMatchObject({ code: 'person-needed' });
  const question = await gate.redeem(mine, ask({ canAskPerson: true }), steps);
  if (question.kind !== 'question') throw new Error('no question');
  expect(question.nonce).not.toBe(foreign.nonce);
  await refusal(gate.redeem(mine, ask({ canAskPerson: true, answer: yes(foreign.nonce) }), steps));
  expect(consents).toHaveLength(0);
  expect(await gate.redeem(mine, ask({ canAskPerson: true, answer: yes(question.nonce) }), steps)).toMatchObject({
    level: 'person-form',
  });
});

test('an approval survives a failed second plan: nobody is asked twice', async () => {
  const { gate, steps, mint, setWorld } = setUp();
  const token = mint();
  const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  if (question.kind !== 'question') throw new Error('no question');
  setWorld(new Error('connection refused'));
  await expect(gate.redeem(token, ask({ canAskPerson: true, answer: yes(question.nonce) }), steps)).rejects.toThrow(
    'connection refused',
  );
  setWorld(pendingChange());
  expect(await gate.redeem(token, ask({ canAskPerson: true }), steps)).toMatchObject({
    kind: 'redeemed',
    level: 'person-form',
  });
});

test('if a person is needed and none can be asked, the change is refused without a workaround, and the token stays valid', async () => {
  let requirement: 'person' | 'ask' = 'person';
  const { gate, steps, mint, consents } = setUp({ requirementFor: () => requirement });
  const token = mint();
  const error = await refusal(gate.redeem(token, ask(), steps));
  expect(error).toMatchObject({ code: 'person-needed', message: expect.stringContaining('no forms') });
  expect(`${error.message} ${error.hint}`).not.toMatch(/DSTACK_MCP|policy|CONFIRM|dstack apply/i);
  expect(consents).toHaveLength(0);
  requirement = 'ask';
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ level: 'token' });
});

test('a change that the policy allows needs no question, and the consent names the policy', async () => {
  const { gate, steps, mint } = setUp({ requirementFor: () => 'allow' });
  expect(await gate.redeem(mint(), ask({ canAskPerson: true }), steps)).toMatchObject({
    kind: 'redeemed',
    level: 'policy',
  });
});

test('nobody is asked if the token is enough', async () => {
  const { gate, steps, mint } = setUp({ requirementFor: () => 'token' });
  expect(await gate.redeem(mint(), ask({ canAskPerson: true }), steps)).toMatchObject({
    kind: 'redeemed',
    level: 'token',
  });
});

test('a price that exceeds a limit of the policy between plan and redemption needs a stronger approval', async () => {
  const { gate, steps, mint, setWorld, consents } = setUp({
    requirementFor: (change) => ((change.binding.mostPerHour ?? 9) < 1.02 ? 'allow' : 'person'),
  });
  const token = mint();
  setWorld(pendingChange({ binding: { mostPerHour: 1.03 } }));
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringContaining('stronger approval'),
  });
  expect(consents).toHaveLength(0);
});

test('while the policy is broken, nothing is redeemed and the token stays valid', async () => {
  let broken = true;
  const { gate, steps, mint, consents } = setUp({
    requirementFor() {
      if (broken) throw new ToolError('policy-broken', 'the policy is broken', 'tell the operator');
      return 'token';
    },
  });
  const token = mint();
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'policy-broken' });
  expect(consents).toHaveLength(0);
  broken = false;
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed' });
});

test('each change has its audit lines in order and under one id', async () => {
  const { gate, steps, mint, audit } = setUp();
  const token = mint();
  await gate.redeem(token, ask(), steps);
  await gate.redeem(token, ask(), steps);
  expect(audit.map((entry) => entry.event)).toEqual(['asked', 'approved', 'done']);
  expect(new Set(audit.map((entry) => entry.id)).size).toBe(1);
  expect(audit[2]).toMatchObject({
    tool: 'apply',
    operation: 'create',
    level: 'token',
    outcome: 'done',
    argv: pendingChange().argv,
    pricePerHour: 1,
  });
  expect(JSON.stringify(audit)).not.toContain(token);
});

test.each(['asked', 'approved'] as const)(
  'a change is not made when its line "%s" can not be written',
  async (failing) => {
    let full = true;
    const lines: string[] = [];
    const { gate, steps, mint, consents } = setUp({
      audit: {
        write(entry) {
          if (full && entry.event === failing) throw new ToolError('audit-unavailable', 'disk full', 'make room');
          lines.push(entry.event);
        },
      },
    });
    const token = mint();
    expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'audit-unavailable' });
    expect(consents).toHaveLength(0);
    full = false;
    expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'redeemed', repeated: false });
    expect(lines.filter((line) => line === 'done')).toHaveLength(1);
  },
);

test("a change whose last audit line can't be written says so", async () => {
  const { gate, steps, mint } = setUp({
    audit: {
      write(entry) {
        if (entry.event === 'done') throw new ToolError('audit-unavailable', 'disk full', 'make room');
      },
    },
  });
  expect(await gate.redeem(mint(), ask(), steps)).toMatchObject({ kind: 'redeemed', unrecorded: true });
});

function fakeDialog() {
  const opened: {
    message: string;
    field: string;
    signal: AbortSignal;
    answer: (answer: DialogAnswer) => void;
    fail: (error: Error) => void;
  }[] = [];
  const dialog: Dialog = {
    availability: () => ({ kind: 'available', tool: 'zenity' }),
    ask: (request, signal) =>
      new Promise((resolve, reject) => {
        opened.push({ ...request, signal, answer: resolve, fail: reject });
      }),
  };
  return { dialog, opened };
}

test('without forms, a dialog asks once in the background, and the next call gets the answer', async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint, consents } = setUp({ dialog });
  const token = mint();
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({
    kind: 'waiting-for-person',
    next: expect.stringContaining('same token'),
  });
  expect(await gate.redeem(token, ask(), steps)).toMatchObject({ kind: 'waiting-for-person' });
  expect(opened).toHaveLength(1);
  expect(opened[0]?.message).toContain('Submit the run train');
  expect(consents).toHaveLength(0);
  opened[0]?.answer({ kind: 'approved' });
  expect(await gate.redeem(token, ask({ waitMs: 10_000 }), steps)).toMatchObject({
    kind: 'redeemed',
    level: 'person-dialog',
  });
});

test('a dialog answered while calls wait makes the change once', async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint, consents } = setUp({ dialog });
  const token = mint();
  const calls = Array.from({ length: 5 }, () => gate.redeem(token, ask({ waitMs: 60_000 }), steps));
  opened[0]?.answer({ kind: 'approved' });
  const all = await Promise.all(calls);
  expect(all.every((redeemed) => redeemed.kind === 'redeemed')).toBe(true);
  expect(consents).toHaveLength(1);
});

test.each<[DialogAnswer, Operation, RegExp]>([
  [{ kind: 'declined' }, 'create', /user declined/],
  [{ kind: 'timed-out' }, 'create', /closed without an answer/],
  [{ kind: 'approved' }, 'delete', /declined/],
  [{ kind: 'typed', name: 'trian' }, 'delete', /a name other than train/],
  [{ kind: 'typed', name: 'train' }, 'create', /declined/],
])('the dialog answer %o to a %s is a rejection', async (answer, operation, words) => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint, consents } = setUp({ dialog });
  const token = mint(pendingChange({ operation }));
  const call = gate.redeem(token, ask({ waitMs: 60_000 }), steps);
  opened[0]?.answer(answer);
  expect((await refusal(call)).message).toMatch(words);
  await refusal(gate.redeem(token, ask(), steps));
  expect(consents).toHaveLength(0);
});

test('the name typed into the dialog is an approval', async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint } = setUp({ dialog });
  const call = gate.redeem(mint(pendingChange({ operation: 'replace' })), ask({ waitMs: 60_000 }), steps);
  expect(opened[0]?.field).toBe('name');
  opened[0]?.answer({ kind: 'typed', name: 'train' });
  expect(await call).toMatchObject({ kind: 'redeemed', level: 'person-dialog' });
});

test("if the dialog can't be shown, the change is refused first, and the token counts then where the operator allows it", async () => {
  for (const [requirement, first, second] of [
    ['ask', { code: 'nobody-asked' }, { level: 'token' }],
    ['person', { code: 'person-needed' }, { code: 'person-needed' }],
  ] as const) {
    const { dialog, opened } = fakeDialog();
    const { gate, steps, mint } = setUp({ dialog, requirementFor: () => requirement });
    const token = mint();
    const call = () => gate.redeem(token, ask({ waitMs: 60_000 }), steps).catch((error: unknown) => error);
    const failed = call();
    opened[0]?.fail(new Error('cannot open display'));
    expect(await failed).toMatchObject(first);
    expect(await call()).toMatchObject(second);
    expect(opened).toHaveLength(1);
  }
});

test('an expired token closes its dialog, and a late click has no effect', async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint, pass, consents } = setUp({ dialog });
  const token = mint();
  await gate.redeem(token, ask(), steps);
  pass(10 * 60_000);
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'token-expired' });
  expect(opened[0]?.signal.aborted).toBe(true);
  opened[0]?.answer({ kind: 'approved' });
  expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'token-expired' });
  expect(consents).toHaveLength(0);
});

test('closing the gate ends its dialogs and tokens', async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint } = setUp({ dialog });
  const token = mint();
  await gate.redeem(token, ask(), steps);
  await gate.close();
  expect(opened[0]?.signal.aborted).toBe(true);
  await refusal(gate.redeem(token, ask(), steps));
});

test("a click for an evicted token doesn't restore it", async () => {
  const { dialog, opened } = fakeDialog();
  const { gate, steps, mint, consents } = setUp({ dialog, maxPending: 1 });
  const old = mint();
  await gate.redeem(old, ask(), steps);
  mint();
  expect(opened[0]?.signal.aborted).toBe(true);
  opened[0]?.answer({ kind: 'approved' });
  // The answer reaches the gate in a later turn.
  await setImmediate();
  expect(await refusal(gate.redeem(old, ask({ waitMs: 1_000 }), steps))).toMatchObject({ code: 'token-expired' });
  expect(consents).toHaveLength(0);
});

function dialogOf(answer: () => Promise<DialogAnswer>, availability: ReturnType<Dialog['availability']>): Dialog {
  return { availability: () => availability, ask: () => answer() };
}

test.each<[string, Dialog | undefined, string]>([
  ['no dialog at all', undefined, 'the client has no forms, and dialogs are disabled'],
  [
    'an unavailable dialog',
    dialogOf(() => Promise.reject(new Error('not asked')), { kind: 'unavailable', why: 'there is no display' }),
    'the client has no forms, and there is no display',
  ],
  [
    'a dialog that breaks',
    dialogOf(() => Promise.reject(new Error('zenity was ended')), { kind: 'available', tool: 'zenity' }),
    "the client has no forms, and the dialog couldn't be shown (zenity was ended)",
  ],
])('the refusal says why nobody can be asked if a person is needed and there is %s', async (_what, dialog, why) => {
  const { gate, steps, mint, consents } = setUp({ requirementFor: () => 'person', dialog });
  const refused = await refusal(gate.redeem(mint(), ask({ waitMs: 60_000 }), steps));
  expect(refused).toMatchObject({
    code: 'person-needed',
    message: expect.stringContaining(`prompted: ${why}. Nothing`),
  });
  expect(consents).toEqual([]);
});

test('an answer that arrives while the call waits is used by this call', async () => {
  const dialog = dialogOf(
    async () => {
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      return { kind: 'approved' };
    },
    { kind: 'available', tool: 'zenity' },
  );
  const { gate, steps, mint } = setUp({ dialog });
  const redeemed = await gate.redeem(mint(), ask({ waitMs: 60_000 }), steps);
  expect(redeemed).toMatchObject({ kind: 'redeemed', level: 'person-dialog' });
});

test('the dialog is open as long as the token is valid', async () => {
  const times: number[] = [];
  const dialog: Dialog = {
    availability: () => ({ kind: 'available', tool: 'zenity' }),
    ask: ({ timeoutMs }) => {
      times.push(timeoutMs);
      return Promise.resolve({ kind: 'declined' });
    },
  };
  const { gate, steps, mint, pass } = setUp({ dialog, lifeMs: 100_000 });
  const early = mint();
  const late = mint();
  await refusal(gate.redeem(early, ask({ waitMs: 60_000 }), steps));
  pass(99_900);
  await refusal(gate.redeem(late, ask({ waitMs: 60_000 }), steps));
  expect(times).toEqual([100_000, 1_000]);
});

test.each<[string, DialogAnswer]>([
  ['a click', { kind: 'approved' }],
  ['another name', { kind: 'typed', name: 'trainer' }],
  ['no name', { kind: 'typed', name: '' }],
])('to replace, %s in the dialog is a rejection', async (_what, answer) => {
  const dialog = dialogOf(() => Promise.resolve(answer), { kind: 'available', tool: 'zenity' });
  const { gate, steps, mint, consents } = setUp({ dialog });
  const token = mint(pendingChange({ operation: 'replace' }));
  expect((await refusal(gate.redeem(token, ask({ waitMs: 60_000 }), steps))).code).toBe('person-declined');
  expect(consents).toEqual([]);
});

test.each([undefined, null, 1, true, ['train'], {}, 'trainer', ''])(
  'to replace, %j in the form is a no',
  async (name) => {
    const { gate, steps, mint, consents } = setUp();
    const token = mint(pendingChange({ operation: 'replace' }));
    const question = await gate.redeem(token, ask({ canAskPerson: true }), steps);
    if (question.kind !== 'question') throw new Error('not asked');
    const answer = yes(question.nonce, { ...YES, name });
    const refused = await refusal(gate.redeem(token, ask({ canAskPerson: true, answer }), steps));
    expect(refused.message).toContain('typed a name other than train');
    expect(consents).toEqual([]);
  },
);

test('an answer before any question, or with another nonce, is ignored', async () => {
  const { gate, steps, mint, consents } = setUp();
  const token = mint();
  const early = await refusal(gate.redeem(token, ask({ canAskPerson: true, answer: yes('invented') }), steps));
  expect(early.message).toContain('another question');
  const first = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  const again = await gate.redeem(token, ask({ canAskPerson: true }), steps);
  // Asked again it is the same question.
  expect(again).toEqual(first);
  expect(consents).toEqual([]);
});

test('the audit log has the duration of a change', async () => {
  const { gate, steps, mint, audit, pass } = setUp();
  const slow: RedeemSteps<Result> = {
    ...steps,
    execute: async () => {
      pass(1_234);
      return { outcome: 'done', run: 1 };
    },
  };
  await gate.redeem(mint(), ask(), slow);
  expect(audit.at(-1)).toMatchObject({ event: 'done', durationMs: 1_234 });
  const lost = { ...steps, execute: (): Promise<Result> => (pass(77), Promise.reject(new Error('lost'))) };
  await gate.redeem(mint(), ask(), lost).catch(() => undefined);
  expect(audit.at(-1)).toMatchObject({ event: 'done', outcome: 'unknown', why: 'lost', durationMs: 77 });
});

test('the audit log has the reason of a refusal with its code', async () => {
  const { gate, steps, mint, audit, setWorld } = setUp();
  const token = mint();
  setWorld(pendingChange({ binding: { project: 'other' } }));
  await refusal(gate.redeem(token, ask(), steps));
  expect(audit.at(-1)).toMatchObject({
    event: 'refused',
    why: expect.stringMatching(/^plan-changed: The plan changed/),
  });
  const waiting = mint();
  const {
    gate: strict,
    steps: strictSteps,
    mint: strictMint,
    audit: strictAudit,
  } = setUp({ requirementFor: () => 'person' });
  await refusal(strict.redeem(strictMint(), ask(), strictSteps));
  expect(strictAudit.at(-1)).toMatchObject({ event: 'refused', why: expect.stringMatching(/^person-needed: /) });
  expect(waiting).toMatch(/-/);
});

test('no token is minted for a change that needs a typed name and has none', () => {
  const { gate } = setUp();
  const nameless = pendingChange({ operation: 'replace', summary: { resource: { kind: 'fleet' } } });
  expect(() => gate.mint(nameless)).toThrow('a replace needs a name that a person can type');
});

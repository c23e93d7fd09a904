import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ApplyRequest, ChangeRequest } from '../../../src/core/change.ts';
import { readDstackConfig } from '../../../src/dstack/client/read-dstack-config.ts';
import { promiseWithResolvers } from '../../../src/core/waiting.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import type { Dialog } from '../../../src/safety/dialog/dialog.ts';
import { FILES, configOf, reportOf, rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { approving, refusal, yes } from '../../support/set-up-gate.ts';

const APPLY: ApplyRequest = { tool: 'apply', file: 'task.dstack.yml' };

/** Sets a world up in which a task is planned and applied. */
function readyToApply(options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  changes.world.reads = { apply: 'plan-task-create', 'run get': 'run-get-running' };
  changes.world.changes = { apply: 'apply-task-created' };
  return changes;
}

type Changes = ReturnType<typeof readyToApply>;

const openDialog: Dialog = {
  availability: () => ({ kind: 'available', tool: 'zenity' }),
  ask: () => new Promise(() => undefined),
};

const events = ({ audited }: Changes): string[] => audited.map(({ event }) => event);

test('a token carries out what was planned, once, and the result says how it was approved', async () => {
  const changes = readyToApply();
  const report = reportOf(await changes.redeem(await changes.mint(APPLY)));
  expect(report).toMatchObject({
    outcome: 'done',
    summary: 'Run lab-task submitted, detaching... The run lab-task is running.',
    facts: {
      operation: 'create',
      resource: { kind: 'task', name: 'lab-task' },
      project: 'lab',
      status: 'running',
      consent: expect.stringMatching(/^token: /),
    },
  });
  expect(changes.changed().map(({ argv }) => argv)).toEqual([
    ['apply', '--file', 'task.dstack.yml', '--yes', '--detach'],
  ]);
});

test('one command plans and makes the change, which is looked up afterwards', async () => {
  const changes = readyToApply();
  await changes.redeem(await changes.mint(APPLY));
  expect(changes.ran.map(({ effect, command }) => `${effect} ${command}`)).toEqual([
    'read apply',
    'change apply',
    'read run get',
  ]);
  expect(changes.progress).toEqual(['dstack apply']);
});

test.each<ChangeRequest>([APPLY, { tool: 'delete', file: 'task.dstack.yml' }])(
  'a dstack that can not be given the judged bytes is not started on a file: %o',
  async (request) => {
    const changes = readyToApply();
    changes.world.isPython = false;
    expect(await refusal(changes.preview(request))).toMatchObject({
      code: 'cli-not-understood',
      message: expect.stringContaining("isn't a Python script"),
    });
    // Nor does a token help that was minted while dstack was a script.
    changes.world.isPython = true;
    const token = await changes.mint(APPLY);
    changes.world.isPython = false;
    expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'cli-not-understood' });
    expect(changes.changed()).toEqual([]);
  },
);

test('an edited file is not even sent to dstack', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.write('task.dstack.yml', `${FILES['task.dstack.yml']}# edited\n`);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.ran).toHaveLength(1);
});

test('dstack gets the approved bytes, whatever the file contains by then', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  let runs = 0;
  changes.world.reads['apply'] = () => {
    runs += 1;
    changes.write('task.dstack.yml', 'type: task\nname: lab-task\ncommands: [evil]\n');
    return rewritten('plan-task-create');
  };
  await changes.redeem(token);
  expect(runs).toBe(1);
  expect(changes.changed()[0]?.options.pinnedFile?.bytes).toEqual(Buffer.from(FILES['task.dstack.yml']));
});

test.each<[string, (changes: Changes) => void, RegExp]>([
  ['the file', (changes) => changes.write('task.dstack.yml', `${FILES['task.dstack.yml']}# edited\n`), /was edited/],
  ['a profile', (changes) => changes.write('.dstack/profiles.yml', 'profiles: []\n'), /profiles\.yml has appeared/],
  [
    'the price',
    (changes) => {
      changes.world.reads['apply'] = rewritten('plan-task-create', ['$0.39', '$0.42']);
    },
    /\$0\.39.* to \$0\.42/,
  ],
  [
    'the action',
    (changes) => {
      changes.world.reads['apply'] = 'plan-task-update';
    },
    /action was create, now it is update/,
  ],
  [
    'the project that dstack plans for',
    (changes) => {
      changes.world.reads['apply'] = rewritten('plan-task-create', ['Project        lab ', 'Project        prod']);
    },
    /project was lab, now it is prod/,
  ],
  [
    'the server of the project',
    (changes) => {
      const { projects, ...config } = configOf('lab');
      changes.world.config = { ...config, projects: projects.map((one) => ({ ...one, url: 'https://other' })) };
    },
    /server was http:\/\/127\.0\.0\.1:3999, now it is https:\/\/other/,
  ],
  [
    'the CLI',
    (changes) => {
      changes.world.version = '0.22.6';
    },
    /0\.22\.5, now it is 0\.22\.6/,
  ],
  [
    "the operator's policy and so the command",
    (changes) => changes.writePolicy('max_price: 2'),
    /command was .*--max-price 2/,
  ],
])('nothing is changed if %s has changed since the plan, and the token is spent', async (_what, change, words) => {
  const changes = readyToApply({ policy: 'protected: [prod-*]' });
  const token = await changes.mint(APPLY);
  change(changes);
  expect(await refusal(changes.redeem(token))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringMatching(words),
  });
  changes.world.reads['apply'] = 'plan-task-create';
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
  expect(events(changes)).toEqual(['asked', 'refused']);
});

test('nothing is run if the existing run is another one than at the plan', async () => {
  const changes = readyToApply();
  changes.world.reads['apply'] = 'plan-task-replace';
  const token = await changes.mint(APPLY);
  changes.world.reads['run get'] = rewritten('run-get-running', ['da47bb13', 'ffffffff']);
  expect((await refusal(changes.redeem(token))).message).toContain(
    'ffffffff-9d5b-40ec-9569-f1691f5ed34c instead of da47bb13',
  );
  expect(changes.changed()).toEqual([]);
});

test('an env file that was edited since the plan refuses the change', async () => {
  const changes = readyToApply({ envFiles: 'on' });
  changes.write('env.dstack.yml', `${FILES['task.dstack.yml']}env: [HF_TOKEN]\n`);
  changes.write('.env', 'HF_TOKEN=first_value\n');
  const token = await changes.mint({ tool: 'apply', file: 'env.dstack.yml' });
  changes.write('.env', 'HF_TOKEN=other_value\n');
  const error = await refusal(changes.redeem(token));
  expect(error.message).toContain('.env was edited');
  expect(error.message).not.toContain('other_value');
  expect(changes.changed()).toEqual([]);
});

test('a used token returns the result of its use, and nothing is done again', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  const first = reportOf(await changes.redeem(token));
  const second = reportOf(await changes.redeem(token));
  expect(second).toEqual({
    ...first,
    summary: `This token was used before; nothing was done again. The result then: ${first.summary}`,
  });
  expect(changes.changed()).toHaveLength(1);
});

test('of many calls with one token at the same time one makes the change, and all get its result', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  const all = await Promise.all(Array.from({ length: 20 }, () => changes.redeem(token)));
  expect(changes.changed()).toHaveLength(1);
  expect(all.map((answer) => reportOf(answer).outcome)).toEqual(Array.from({ length: 20 }, () => 'done'));
  expect(all.filter((answer) => reportOf(answer).summary.includes('used before'))).toHaveLength(19);
});

test('a person who can be asked is asked first, and their answer makes the change', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  const question = await changes.redeem(token, { canAskPerson: true });
  if (!('kind' in question)) throw new Error('expected a question');
  expect(question).toMatchObject({ kind: 'question', field: { kind: 'choice' } });
  expect(question.message).toContain('Create task lab-task from task.dstack.yml');
  expect(question.message).toContain('lab on http://127.0.0.1:3999');
  expect(changes.ran).toHaveLength(1);
  const answered = {
    canAskPerson: true,
    answer: yes(question.nonce, approving(question.field)),
  };
  const report = reportOf(await changes.redeem(token, answered));
  expect(report.facts.consent).toMatch(/^person-form: /);
  expect(changes.changed()).toHaveLength(1);
});

test('a rejection ends the token, and nothing is run', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  const question = await changes.redeem(token, { canAskPerson: true });
  if (!('kind' in question)) throw new Error('expected a question');
  const answered = { canAskPerson: true, answer: { kind: 'declined', nonce: question.nonce } as const };
  expect(await refusal(changes.redeem(token, answered))).toMatchObject({ code: 'person-declined' });
  expect(changes.ran).toHaveLength(1);
  expect(events(changes)).toEqual(['asked', 'refused']);
});

test("the dialog names the server that dstack's own variables name, not that of the file", async () => {
  const messages: string[] = [];
  const dialog: Dialog = {
    availability: () => ({ kind: 'available', tool: 'zenity' }),
    ask: async ({ message }) => {
      messages.push(message);
      return { kind: 'declined' };
    },
  };
  const changes = readyToApply({ dialog });
  const dstackFolder = path.join(changes.home, '.dstack');
  mkdirSync(dstackFolder);
  writeFileSync(path.join(dstackFolder, 'config.yml'), 'projects: [{name: lab, url: http://other:1, default: true}]\n');
  const variables = { DSTACK_SERVER_URL: 'http://127.0.0.1:4000', DSTACK_TOKEN: 'x' };
  changes.world.config = await readDstackConfig(variables, changes.home);
  const token = await changes.mint(APPLY);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'person-declined' });
  expect(messages).toEqual([expect.stringContaining('Project: lab on http://127.0.0.1:4000\n')]);
});

test('while a dialog is open the call says that it waits, and a later one makes the change', async () => {
  const answers = [(): void => undefined];
  const changes = readyToApply({
    // No time is left to wait for the person within the call.
    timeoutMs: 0,
    dialog: {
      availability: () => ({ kind: 'available', tool: 'zenity' }),
      ask: () =>
        new Promise((resolve) => {
          answers[0] = () => resolve({ kind: 'approved' });
        }),
    },
  });
  const token = await changes.mint(APPLY);
  const waiting = reportOf(await changes.redeem(token));
  expect(waiting).toMatchObject({
    outcome: 'waiting-for-person',
    facts: {},
    printed: [],
    summary: expect.stringContaining('Nothing was changed yet.'),
    next: expect.stringContaining('same token'),
  });
  expect(changes.ran).toHaveLength(1);
  answers[0]?.();
  await new Promise(setImmediate);
  const report = reportOf(await changes.redeem(token));
  expect(report.facts.consent).toMatch(/^person-dialog: /);
});

test('a token that comes back before the click waits for the card', async () => {
  const changes = readyToApply();
  const preview = await changes.preview(APPLY, { canShowCard: true });
  const shown = changes.service({ canShowCard: true }).cardShown(preview.card?.nonce ?? '');
  expect(shown).toMatchObject({ outcome: 'done', facts: {} });
  const waiting = reportOf(await changes.redeem(tokenOf(preview), { canShowCard: true }));
  expect(waiting).toMatchObject({ outcome: 'waiting-for-person', summary: expect.stringContaining('card') });
  expect(changes.changed()).toEqual([]);
});

test('a click in the card makes the change, and the token returns the same result', async () => {
  const changes = readyToApply();
  const { card, facts } = await changes.preview(APPLY, { canShowCard: true });
  const service = changes.service({ canShowCard: true });
  const decision = { nonce: card?.nonce ?? '', decision: 'approve' } as const;
  const report = reportOf(await service.decide(decision));
  expect(report.facts.consent).toMatch(/^person-card: /);
  expect(reportOf(await service.decide(decision)).summary).toContain(
    'This was approved before; nothing was done again.',
  );
  expect(reportOf(await changes.redeem(facts.token ?? '')).summary).toContain('used before');
  expect(changes.changed()).toHaveLength(1);
});

test('a click that declines ends the token', async () => {
  const changes = readyToApply();
  const { card, facts } = await changes.preview(APPLY, { canShowCard: true });
  const service = changes.service({ canShowCard: true });
  const declined = service.decide({ nonce: card?.nonce ?? '', decision: 'decline' });
  expect(await refusal(declined)).toMatchObject({ code: 'person-declined' });
  expect(await refusal(changes.redeem(facts.token ?? ''))).toMatchObject({ code: 'person-declined' });
  expect(changes.changed()).toEqual([]);
});

test('a client that shows no card can decide nothing, whatever nonce it has', async () => {
  const changes = readyToApply();
  const { card } = await changes.preview(APPLY, { canShowCard: true });
  const decided = changes.service().decide({ nonce: card?.nonce ?? '', decision: 'approve' });
  expect(await refusal(decided)).toMatchObject({ code: 'person-needed' });
  expect(changes.changed()).toEqual([]);
});

test('where a person is needed and none can be asked, nothing is run', async () => {
  const changes = readyToApply({ settings: { confirm: 'person' } });
  const token = await changes.mint(APPLY);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'person-needed' });
  expect(changes.ran).toHaveLength(1);
});

test('a command that fails before its change makes none, and is not repeated right away', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.reads['apply'] = 'error-unreachable';
  await expect(changes.redeem(token)).rejects.toThrow(CommandFailed);
  changes.world.reads['apply'] = 'plan-task-create';
  // The same command is not run again right after a failure.
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'retry-refused' });
  expect(changes.changed()).toEqual([]);
  expect(events(changes)).toEqual(['asked', 'refused', 'refused']);
});

test('a token works once dstack answers again after a command that failed before its change', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.reads['apply'] = () => {
    throw new Error('the worker died');
  };
  await expect(changes.redeem(token)).rejects.toThrow('the worker died');
  changes.world.reads['apply'] = 'plan-task-create';
  expect(reportOf(await changes.redeem(token)).outcome).toBe('done');
  expect(events(changes)).toEqual(['asked', 'refused', 'approved', 'done']);
});

test('a change that has become impossible is not made, and the reason is the new plan', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.reads['apply'] = 'plan-task-no-offers';
  expect(await refusal(changes.redeem(token))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringMatching(/no longer possible\. Nothing was changed\. .*No matching instance offers/),
    hint: expect.stringContaining('fleet'),
  });
  expect(changes.changed()).toEqual([]);
});

test('a policy that is broken by the time of the redemption refuses it, and the token stays', async () => {
  const changes = readyToApply({ policy: 'max_price: 9' });
  const token = await changes.mint(APPLY);
  changes.writePolicy('max_price: nine');
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'policy-broken' });
  changes.writePolicy('max_price: 9');
  expect(reportOf(await changes.redeem(token)).outcome).toBe('done');
});

test('a policy that asks for more by the time of the grant refuses a bare token', async () => {
  const changes = readyToApply({ policy: 'consent: {create: token}' });
  const token = await changes.mint(APPLY);
  changes.world.reads['apply'] = () => {
    changes.writePolicy('consent: {create: person}');
    return rewritten('plan-task-create');
  };
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});

test('a change leaves three lines in the audit log, in order, under one id', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.changes['apply'] = () => {
    // What is approved is on the disk before the command runs.
    expect(events(changes)).toEqual(['asked', 'approved']);
    return rewritten('apply-task-created');
  };
  await changes.redeem(token);
  expect(events(changes)).toEqual(['asked', 'approved', 'done']);
  expect(new Set(changes.audited.map(({ id }) => id)).size).toBe(1);
  expect(changes.audited[2]).toMatchObject({
    tool: 'apply',
    operation: 'create',
    resource: { kind: 'task', name: 'lab-task' },
    project: 'lab',
    server: 'http://127.0.0.1:3999',
    argv: ['apply', '--file', 'task.dstack.yml', '--yes', '--detach'],
    pricePerHour: 0.39,
    totalPrice: 0.85,
    level: 'token',
    outcome: 'done',
    durationMs: expect.any(Number),
  });
  expect(JSON.stringify(changes.audited)).not.toContain(token);
});

test('a preview leaves no line in the audit log', async () => {
  const changes = readyToApply();
  await changes.mint(APPLY);
  expect(changes.audited).toEqual([]);
});

test.each(['asked', 'approved'])(
  'nothing is run if the line %s cannot be written, and the token stays',
  async (event) => {
    const changes = readyToApply();
    const token = await changes.mint(APPLY);
    changes.world.canAudit = (entry) => entry.event !== event;
    expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'audit-unavailable' });
    expect(changes.changed()).toEqual([]);
    changes.world.canAudit = () => true;
    expect(reportOf(await changes.redeem(token)).outcome).toBe('done');
  },
);

test('if only the last line cannot be written, the result says so, and so does every later one', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.canAudit = (entry) => entry.event !== 'done';
  for (const attempt of ['first', 'second']) {
    const report = reportOf(await changes.redeem(token));
    expect(report.outcome, attempt).toBe('done');
    expect(report.summary, attempt).toContain("last line couldn't be written to the audit log");
  }
  expect(changes.changed()).toHaveLength(1);
});

test('a command that threw is recorded as unknown, and its token is never used again', async () => {
  const changes = readyToApply();
  const token = await changes.mint(APPLY);
  changes.world.changes['apply'] = () => {
    throw new Error('the worker died');
  };
  await expect(changes.redeem(token)).rejects.toThrow('the worker died');
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'token-used' });
  expect(changes.changed()).toHaveLength(1);
  expect(changes.audited.at(-1)).toMatchObject({ event: 'done', outcome: 'unknown', why: 'the worker died' });
});

const GO_ON =
  'Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named';

test.each<[string, ChangesOptions, Parameters<Changes['preview']>[1], string]>([
  ['a client with forms', {}, { canAskPerson: true }, `${GO_ON}; the client asks them in any case.`],
  [
    'a client with cards',
    {},
    { canShowCard: true },
    `${GO_ON}; if they see a card with Approve and Decline, their click decides.`,
  ],
  ['a desktop', { dialog: openDialog }, {}, `${GO_ON}; a dialog on their desktop asks them in any case.`],
  ['neither', {}, {}, `${GO_ON}.`],
  ['a policy that asks nobody', { policy: 'consent: { create: allow }\n' }, { canAskPerson: true }, `${GO_ON}.`],
])(
  'a preview says when the model may go on, and who asks the user in any case: %s',
  async (_, options, context, next) => {
    const report = await readyToApply(options).preview(APPLY, context);
    expect(report.next).toBe(`Show this plan to the user in a code block, unchanged. ${next}`);
  },
);

test('a plan that takes longer than its call goes on, and the same call again returns it with its token', async () => {
  const changes = readyToApply({ timeoutMs: 1 });
  const { promise, resolve } = promiseWithResolvers<void>();
  const cli = changes.sources.cli.bind(changes.sources);
  let planned = 0;
  changes.sources.cli = async () => {
    const found = await cli();
    return {
      ...found,
      runner: {
        ...found.runner,
        read: async (argv, options) => {
          planned += 1;
          await promise;
          return found.runner.read(argv, options);
        },
      },
    };
  };
  expect(await changes.preview(APPLY)).toMatchObject({
    outcome: 'waiting',
    facts: {},
    next: expect.stringMatching(/^Make the same call again/),
  });
  resolve();
  expect((await changes.preview(APPLY)).facts).toHaveProperty('token');
  expect(planned).toBe(1);
  // The plan of an edited file is another one.
  changes.write('task.dstack.yml', `${FILES['task.dstack.yml']}# edited\n`);
  await changes.preview(APPLY);
  expect(planned).toBe(2);
});

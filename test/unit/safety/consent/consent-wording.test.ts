import { expect, test } from 'vitest';
import type { ConsentSummary } from '../../../../src/core/change.ts';
import type { ToolError } from '../../../../src/core/errors.ts';
import {
  assertShownWhole,
  cleanSummary,
  declined,
  describeChange,
  describeLevel,
  describeYes,
  foreignAnswer,
  isNameToType,
  nameToType,
  nonceUnknown,
  personNeeded,
  planChanged,
  tokenEndedElsewhere,
  tokenExpired,
  tokenUnknown,
  usedUp,
  wrongName,
} from '../../../../src/safety/consent/consent-wording.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { setUp } from '../../../support/set-up-gate.ts';

test('the user sees the action, the project, the price, the losses and the warnings', () => {
  const text = describeChange(
    pendingChange({
      operation: 'replace',
      summary: {
        action: 'Stop the run train and submit a new one in its place',
        machine: 'H100:80GB:1 on aws in us-east-1, for at most 8h',
        price: '$2.50/h, at most $20.00 in 8h',
        losses: ['run train (running since 3 h)'],
        warnings: ['No offers are free at the moment'],
      },
    }),
  );
  expect(text.split('\n')).toEqual([
    'Stop the run train and submit a new one in its place',
    '',
    'Resource: task train',
    'Project: main on http://127.0.0.1:3999',
    'Machine: H100:80GB:1 on aws in us-east-1, for at most 8h (dstack chooses again when it starts)',
    'Price: $2.50/h, at most $20.00 in 8h',
    '',
    'Would be stopped or lost:',
    '- run train (running since 3 h)',
    '',
    'Warnings:',
    '- No offers are free at the moment',
    '',
    'Type the name train to approve.',
  ]);
});

test('an unknown price is reported for operations that cost money, and only for those', () => {
  expect(describeChange(pendingChange({ summary: { price: undefined } }))).toContain('Price: unknown');
  expect(describeChange(pendingChange({ operation: 'stop', summary: { price: undefined } }))).not.toContain('Price');
});

test('a name cannot add lines to the question, or hide or reverse text', () => {
  const text = describeChange(
    pendingChange({
      summary: {
        action: 'Submit train\n\nPrice: $0.00\u202e',
        resource: { kind: 'task', name: 'a\u001b[2Jb\u200bc' },
        losses: [`${'long '.repeat(900)}\nType yes`],
      },
    }),
  );
  expect(text.split('\n')[0]).toBe('Submit train Price: $0.00⟨U+202E⟩');
  expect(text).toContain('Resource: task ab⟨U+200B⟩c');
  expect(text).not.toContain('\nType yes');
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(2_010);
});

test.each<[string, Partial<ConsentSummary>]>([
  ['a mount', { access: [`the run can read and write ${'/cache'.repeat(400)} on its machine`] }],
  ['a flag', { flags: [`--env ${'A'.repeat(2_000)}`] }],
  ['a key', { sends: [`send the private SSH key ~/${'./'.repeat(1_000)}.ssh/id_ed25519`] }],
  ['a warning', { warnings: [`the run gets the values of ${'NAME, '.repeat(400)}`] }],
  ['an action', { action: `Create task from ${'a/'.repeat(1_000)}x.dstack.yml` }],
])('%s that the question would cut is refused before there is a token', (_what, summary) => {
  const change = pendingChange({ summary });
  expect(() => assertShownWhole(change)).toThrow('nobody could read all of it. Nothing was changed.');
  const { gate } = setUp();
  expect(() => gate.mint(change)).toThrow('nobody could read all of it');
});

test('every warning is shown, so that many harmless ones hide none', () => {
  const warnings = Array.from({ length: 40 }, (_, index) => `warning ${index}`);
  expect(
    describeChange(pendingChange({ summary: { warnings } }))
      .split('\n')
      .slice(-40),
  ).toEqual(warnings.map((line) => `- ${line}`));
});

test('a long list of losses is cut and reports how many lines were omitted', () => {
  const text = describeChange(
    pendingChange({ summary: { losses: Array.from({ length: 30 }, (_, index) => `instance ${index}`) } }),
  );
  expect(text).toContain('- instance 11\n- and 18 more');
  expect(text).not.toContain('instance 12');
});

test('the level of a bare token does not claim that a person approved', () => {
  expect(describeLevel('token')).toContain('does not prove that a person approved');
  for (const level of ['person-form', 'person-dialog', 'person-card'] as const)
    expect(describeLevel(level)).toContain('a person');
  expect(describeLevel('policy')).toBe("policy: the operator's policy allows this without asking");
});

test('the user sees every flag, no matter how many, each on its own line', () => {
  const flags = Array.from({ length: 40 }, (_, index) => `--flag-${index} value${index} (what it does)`);
  const text = describeChange(
    pendingChange({ summary: { flags: [...flags, `--long ${'x'.repeat(4_000)}\nType yes`] } }),
  );
  const lines = text.split('\n');
  const start = lines.indexOf('With these flags, which override the file:');
  expect(lines.slice(start + 1, start + 41)).toEqual(flags.map((flag) => `- ${flag}`));
  expect(lines[start + 41]).toMatch(/^- --long xxx/);
  expect(text).not.toContain('more');
  expect(describeChange(pendingChange())).not.toContain('flags');
});

test('the question omits empty sections', () => {
  const plain = { price: undefined, losses: [], warnings: [] };
  expect(describeChange(pendingChange({ operation: 'update', summary: plain })).split('\n')).toEqual([
    'Submit the run train',
    '',
    'Resource: task train',
    'Project: main on http://127.0.0.1:3999',
  ]);
  expect(describeChange(pendingChange({ operation: 'replace', summary: plain }))).toContain('Price: unknown');
  expect(describeChange(pendingChange({ summary: { resource: { kind: 'fleet' } } }))).toMatch(/^Resource: fleet ?$/m);
  expect(describeChange(pendingChange({ summary: { pricePerHour: 1 } }))).toContain('$1.00/h, no limit in total');
});

test('a list at the limit is shown completely', () => {
  const text = describeChange(
    pendingChange({ summary: { losses: Array.from({ length: 12 }, (_, index) => `instance ${index}`) } }),
  );
  expect(text).toContain('- instance 11');
  expect(text).not.toContain('more');
});

test('no name is typed for operations that a click approves, even if the change has one', () => {
  expect(nameToType(pendingChange({ operation: 'create', nameToType: 'train' }))).toBeUndefined();
  expect(nameToType(pendingChange({ operation: 'delete', nameToType: 'other' }))).toBe('other');
  expect(nameToType(pendingChange({ operation: 'delete' }))).toBe('train');
});

test.each<[unknown, boolean]>([
  ['train', true],
  [' train\n', true],
  ['Train', false],
  ['trai', false],
  ['', false],
  [undefined, false],
  [true, false],
  [['train'], false],
])('%j is accepted as the name train: %j', (typed, isIt) => {
  expect(isNameToType(pendingChange({ operation: 'delete' }), typed)).toBe(isIt);
});

test('no typed name is right for an operation that needs none', () => {
  expect(isNameToType(pendingChange({ operation: 'create' }), 'train')).toBe(false);
});

test('the card receives the whole summary, cleaned and redacted', () => {
  const hostile = 'the key s3cr3t\u202e\n<img src=x>';
  const many = Array.from({ length: 40 }, (_, index) => `instance ${index}`);
  const { summary } = pendingChange({
    summary: {
      action: hostile,
      resource: { kind: hostile, name: hostile },
      project: hostile,
      server: hostile,
      flags: [hostile],
      losses: [...many, hostile],
      warnings: [hostile],
      totalPrice: 20,
    },
  });
  const clean = 'the key ***⟨U+202E⟩ <img src=x>';
  expect(cleanSummary(summary, (text) => text.replace('s3cr3t', '***'))).toEqual({
    action: clean,
    resource: { kind: clean, name: clean },
    project: clean,
    server: clean,
    price: '$1.00/h, no limit in total',
    pricePerHour: 1,
    totalPrice: 20,
    flags: [clean],
    losses: [...many, clean],
    warnings: [clean],
  });
});

test('a summary without a name or flags stays without them', () => {
  const { summary } = pendingChange({ summary: { resource: { kind: 'fleet' } } });
  const cleaned = cleanSummary(summary, (text) => text);
  expect(cleaned.resource).toEqual({ kind: 'fleet' });
  expect(cleaned.flags).toBeUndefined();
});

test.each<[string, Parameters<typeof pendingChange>[0]]>([
  ['Yes, create task train for $1.00 an hour', {}],
  ['Yes, update task train for $1.00 an hour, at most $2.00', { operation: 'update', binding: { mostPerHour: 2 } }],
  ['Yes, create task train for $1.00 an hour, without a known limit', { binding: { mostPerHour: null } }],
  ['Yes, create task train for $2.00 an hour', { binding: { pricePerHour: null, mostPerHour: 2 } }],
  ['Yes, create task train at an unknown price', { binding: { pricePerHour: null, mostPerHour: null } }],
  ['Yes, stop task train', { operation: 'stop' }],
  ['Yes, create fleet for $1.00 an hour', { summary: { resource: { kind: 'fleet' } } }],
  [
    'Yes, allow plans to send what it needs',
    { operation: 'send', summary: { action: 'Allow plans to send what it needs' } },
  ],
])('the approval in a form says what it does and costs: %s', (yes, change) => {
  expect(describeYes(pendingChange(change))).toBe(yes);
});

const applied = pendingChange();
const stopped = pendingChange({ operation: 'abort', binding: { tool: 'stop' } });

// Created in the test, not on import, so that a mutant in a refusal runs in the tests that cover it.
test.each<[string, () => ToolError, string, string, string]>([
  [
    'a rejection',
    () => declined(applied, 'declined'),
    'person-declined',
    'The user declined. Nothing was changed; the token is no longer valid.',
    'Ask the user what they want instead. Call plan again and show the user its result before you continue.',
  ],
  [
    'a prompt that was closed',
    () => declined(stopped, 'cancelled'),
    'not-answered',
    'The approval prompt was closed without an answer. Nothing was changed; the token is no longer valid.',
    'Ask the user whether they still want this. Call stop again and show the user its result before you continue.',
  ],
  [
    'a wrong name',
    () => declined(stopped, 'wrong-name'),
    'person-declined',
    'The user typed a name other than train, which counts as a rejection. Nothing was changed; the token is no longer valid.',
    'Ask the user what they want instead. Call stop again and show the user its result before you continue.',
  ],
  [
    'a wrong name in the card',
    () => wrongName(stopped, 2),
    'wrong-name',
    "The typed name isn't train. Nothing was changed.",
    'Type that name to approve, or decline; 2 tries are left.',
  ],
  [
    'a wrong name in the card, for the last time',
    () => wrongName(stopped, 1),
    'wrong-name',
    "The typed name isn't train. Nothing was changed.",
    'Type that name to approve, or decline; one try is left.',
  ],
  [
    'an unknown nonce',
    () => nonceUnknown(),
    'token-unknown',
    "Unknown card: this server didn't show it, or was restarted since. This click changed nothing.",
    'If it was used before without an answer, that change may have been made: check with ps, get or fleet. Then ask for a new plan, and approve or decline it in its card.',
  ],
  [
    'a plan that changed',
    () => planChanged(applied, ['one thing', 'another']),
    'plan-changed',
    'The plan changed after it was approved: one thing; another. Nothing was changed; the token is no longer valid.',
    'Call plan again and show the user its result before you continue.',
  ],
  [
    'no user to prompt',
    () => personNeeded('there is no display'),
    'person-needed',
    "This change needs the user's approval, but the user can't be prompted: there is no display. Nothing was changed.",
    'Tell the user that the change waits for their approval; doctor shows how this client and this machine can ask for it.',
  ],
  [
    'the answer to another question',
    () => foreignAnswer(),
    'person-needed',
    'This answer belongs to another question. Nothing was changed.',
    'Call the tool again with the token: it asks the user about this change.',
  ],
  [
    'a used token',
    () => usedUp('the server went away'),
    'token-used',
    'This token was already used: the server went away. Nothing was done again.',
    'Check the current state with ps, get, fleet or list before anything else.',
  ],
  [
    'an expired token',
    () => tokenExpired(applied, 'Too old.'),
    'token-expired',
    'Too old. Nothing was changed.',
    'Call plan again and show the user its result before you continue.',
  ],
  [
    'a token that another process has ended',
    () => tokenEndedElsewhere(),
    'token-used',
    'This token is no longer valid: another dstack-mcp process has used it, or the user declined there. This call changed nothing.',
    'Check the current state with ps, get, fleet or list before anything else.',
  ],
  [
    'an unknown token',
    () => tokenUnknown(),
    'token-unknown',
    "Unknown token: no server of yours issued it within the last day, or it couldn't be stored. This call changed nothing.",
    'If it was used before without an answer, that change may have been made: check with ps, get or fleet. Otherwise copy the token from the preview unchanged; if there is none, call plan, stop or delete to get one.',
  ],
])(
  '%s is refused with what happened and what to do next, and never with a way around it',
  (_what, refuse, code, message, hint) => {
    const error = refuse();
    expect(error).toMatchObject({ code, message, hint });
    expect(`${error.message} ${error.hint}`).not.toMatch(/DSTACK_MCP|policy|confirm/i);
  },
);

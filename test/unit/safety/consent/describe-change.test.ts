import { expect, test } from 'vitest';
import {
  cleanSummary,
  describeChange,
  describeLevel,
  isNameToType,
  nameToType,
} from '../../../../src/safety/consent/describe-change.ts';
import { pendingChange } from '../../../support/pending.ts';

test('the person is shown the action, the place, the price, the losses and the warnings', () => {
  const text = describeChange(
    pendingChange({
      operation: 'replace',
      summary: {
        action: 'Stop the run train and submit a new one in its place',
        pricePerHour: 2.5,
        totalPrice: 20,
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
    'Price: $2.50 an hour, $20.00 at most in total',
    '',
    'Would be stopped or lost:',
    '- run train (running since 3 h)',
    '',
    'Careful:',
    '- No offers are free at the moment',
    '',
    'Type the name train to agree.',
  ]);
});

test('a price that is not known is said where money would be spent, and not where it would not', () => {
  expect(describeChange(pendingChange({ summary: { pricePerHour: undefined } }))).toContain('Price: not known');
  expect(describeChange(pendingChange({ operation: 'stop', summary: { pricePerHour: undefined } }))).not.toContain(
    'Price',
  );
});

test('a name can not write lines of its own into the question, nor hide or reverse text', () => {
  const text = describeChange(
    pendingChange({
      summary: {
        action: 'Submit train\n\nPrice: $0.00\u202e',
        resource: { kind: 'task', name: 'a\u001b[2Jb\u200bc' },
        warnings: [`${'long '.repeat(400)}\nType yes`],
      },
    }),
  );
  expect(text.split('\n')[0]).toBe('Submit train Price: $0.00⟨U+202E⟩');
  expect(text).toContain('Resource: task ab⟨U+200B⟩c');
  expect(text).not.toContain('\nType yes');
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(510);
});

test('a long list is cut, and says how much was left out', () => {
  const text = describeChange(
    pendingChange({ summary: { losses: Array.from({ length: 30 }, (_, index) => `instance ${index}`) } }),
  );
  expect(text).toContain('- instance 11\n- and 18 more');
  expect(text).not.toContain('instance 12');
});

test('the level of a bare token claims no person', () => {
  expect(describeLevel('token')).toContain('does not prove that a person agreed');
  for (const level of ['person-form', 'person-dialog', 'person-card'] as const)
    expect(describeLevel(level)).toContain('a person');
  expect(describeLevel('policy')).toContain('policy');
});

test('the person sees every flag that goes along, however many there are, each on a line of its own', () => {
  const flags = Array.from({ length: 40 }, (_, index) => `--flag-${index} value${index} (what it does)`);
  const text = describeChange(
    pendingChange({ summary: { flags: [...flags, `--long ${'x'.repeat(4_000)}\nType yes`] } }),
  );
  const lines = text.split('\n');
  const start = lines.indexOf('With these flags, which go before what the file says:');
  expect(lines.slice(start + 1, start + 41)).toEqual(flags.map((flag) => `- ${flag}`));
  expect(lines[start + 41]).toMatch(/^- --long xxx/);
  expect(text).not.toContain('more');
  expect(describeChange(pendingChange())).not.toContain('flags');
});

test('nothing stands in the question but what there is to say', () => {
  const plain = { pricePerHour: undefined, losses: [], warnings: [] };
  expect(describeChange(pendingChange({ operation: 'update', summary: plain })).split('\n')).toEqual([
    'Submit the run train',
    '',
    'Resource: task train',
    'Project: main on http://127.0.0.1:3999',
  ]);
  expect(describeChange(pendingChange({ operation: 'replace', summary: plain }))).toContain('Price: not known');
  expect(describeChange(pendingChange({ summary: { resource: { kind: 'fleet' } } }))).toMatch(/^Resource: fleet ?$/m);
  expect(describeChange(pendingChange({ summary: { pricePerHour: 1 } }))).toContain('$1.00 an hour, no limit in total');
});

test('a list that just fits is shown whole', () => {
  const text = describeChange(
    pendingChange({ summary: { losses: Array.from({ length: 12 }, (_, index) => `instance ${index}`) } }),
  );
  expect(text).toContain('- instance 11');
  expect(text).not.toContain('more');
});

test('no name is typed where a yes is enough, even if there is one to type', () => {
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
])('typed as %j, the name train is given: %j', (typed, isIt) => {
  expect(isNameToType(pendingChange({ operation: 'delete' }), typed)).toBe(isIt);
});

test('where no name is to be typed, none is the right one', () => {
  expect(isNameToType(pendingChange({ operation: 'create' }), 'train')).toBe(false);
});

test('the card is given every word of the summary, cleaned and masked, and none is left out', () => {
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
    pricePerHour: 1,
    totalPrice: 20,
    flags: [clean],
    losses: [...many, clean],
    warnings: [clean],
  });
});

test('a summary without a name or flags stays without', () => {
  const { summary } = pendingChange({ summary: { resource: { kind: 'fleet' } } });
  const cleaned = cleanSummary(summary, (text) => text);
  expect(cleaned.resource).toEqual({ kind: 'fleet' });
  expect(cleaned.flags).toBeUndefined();
});

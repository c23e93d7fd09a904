import { expect, test } from 'vitest';
import { describeReplaced } from '../../../src/changes/apply-plan.ts';

const FILE = { type: 'task', max_price: 2, backends: ['aws'], resources: { gpu: 'RTX4090' } };

test.each([
  [{ '--gpu': '2' }, ['--gpu 2 replaces resources.gpu: RTX4090']],
  [{ '--spot-policy': 'spot' }, []],
  [
    { '--max-price': 0.5, '--backend': ['gcp', 'aws'] },
    ['--max-price 0.5 replaces max_price: 2', '--backend gcp, aws replaces backends: ["aws"]'],
  ],
  [{ '--spot': false, '--verbose': true }, []],
  [undefined, []],
])('flags %j replace %j of the file', (flags, said) => {
  expect(describeReplaced(FILE, flags)).toEqual(said);
});

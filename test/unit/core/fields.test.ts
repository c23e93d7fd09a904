import { expect, test } from 'vitest';
import { choiceFlags, withChoices } from '../../../src/core/fields.ts';

test('named arguments become flags of dstack, next to those that were passed as such', () => {
  const chosen = choiceFlags({ gpu: 'A100:2', spot: 'auto', max_price: 0.5, fleet: ['on-prem'] });
  expect(withChoices({ '--verbose': true }, chosen)).toEqual({
    '--verbose': true,
    '--gpu': 'A100:2',
    '--spot-policy': 'auto',
    '--max-price': 0.5,
    '--fleet': ['on-prem'],
  });
  expect(withChoices(undefined, choiceFlags({}))).toBeUndefined();
  expect(() => withChoices({ '--gpu': 'A100' }, choiceFlags({ gpu: 'H100' }))).toThrow(/--gpu is in `flags`/);
});

import { expect, test } from 'vitest';
import { WORD_RULES } from '../../../scripts/words.ts';

const isRejected = (text: string): boolean => WORD_RULES.some(({ pattern }) => new RegExp(pattern, 'iu').test(text));

test.each([
  'Mend the file, then plan again.',
  'It is told as an incident.',
  'No machine can be had.',
  'It waits for ever.',
  '200 unless given.',
  'That is no number.',
  'It needs a yes.',
  'Check the set-up.',
  '/** What a call came to. */',
  'It is so already.',
])('the check rejects: %s', (text) => {
  expect(isRejected(text)).toBe(true);
});

test.each([
  'We recommend an amended plan.',
  'There is no fleet, and it is no longer needed.',
  'A no-op is not a look-alike.',
  "import { setUpGate } from './set-up-gate.ts';",
  'It returns early if the worker gives up.',
  '/** Returns what dstack printed. */',
  'The element is aria-labelledby its title.',
])('the check accepts: %s', (text) => {
  expect(isRejected(text)).toBe(false);
});

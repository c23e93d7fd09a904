import { expect, test } from 'vitest';
import { joinWords } from '../../../src/core/shell-words.ts';

test.each([
  [['ls', '-ld', '/home/me/.ssh/config'], 'ls -ld /home/me/.ssh/config'],
  [['ls', 'a b'], "ls 'a b'"],
  [['ls', "it's; rm -rf ~"], String.raw`ls 'it'\''s; rm -rf ~'`],
  [['ls', '$(x)', '`x`', 'a\nb', ''], "ls '$(x)' '`x`' 'a\nb' ''"],
])('%j is quoted for a shell', (words, command) => {
  expect(joinWords(words)).toBe(command);
});

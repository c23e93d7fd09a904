import { expect, test } from 'vitest';
import { editText } from '../../../src/configuration/edit-text.ts';

test('an edit keeps texts that start with a point, such as the current folder', () => {
  const text = 'type: task # as before\nfiles: [., .b]\ncommands:\n  - -.5\n';
  expect(editText(text, [{ path: 'name', value: 'x' }])).toBe(`${text}name: x\n`);
});

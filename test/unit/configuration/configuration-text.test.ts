import { expect, test } from 'vitest';
import { editText } from '../../../src/configuration/configuration-text.ts';

test('an edit keeps texts that start with a point, such as the current folder', () => {
  const text = 'type: task # as before\nfiles: [., .b]\ncommands:\n  - -.5\n';
  expect(editText(text, [{ path: 'name', value: 'x' }])).toBe(`${text}name: x\n`);
});

test('a property is renamed in its place, with its value and its comments', () => {
  const text = 'type: task\n# how long\nmax_duraton: 2h # at most\npython: 3.10\n';
  const edited = editText(text, [
    { path: 'max_duraton', rename: 'max_duration' },
    { path: 'python', value: '3.10' },
  ]);
  expect(edited).toBe('type: task\n# how long\nmax_duration: 2h # at most\npython: "3.10"\n');
});

test('a property is renamed and set at once', () => {
  expect(editText('a: {gpus: 1}\n', [{ path: 'a.gpus', rename: 'gpu', value: 'H100' }])).toBe('a: {gpu: H100}\n');
});

test.each([
  ['nosuch', 'x', /nosuch.*not in the file/],
  ['a', 'b', /`b` is in the file already/],
])('renaming %s to %s is refused', (path, rename, why) => {
  expect(() => editText('a: 1\nb: 2\n', [{ path, rename }])).toThrow(why);
});

test('a property is set within one that is missing', () => {
  const edited = editText('type: task\n', [{ path: 'resources.gpu.name', value: 'A100' }]);
  expect(edited).toBe('type: task\nresources:\n  gpu:\n    name: A100\n');
});

import { expect, test } from 'vitest';
import { createWholeHelpSource } from '../../../../src/dstack/catalog/help-source.ts';

const fallback = {
  read: (command: string, type?: string) =>
    Promise.resolve({ text: `asked dstack for ${command} ${type ?? ''}`.trim() }),
};
const texts = { version: '1', help: { '': 'root', ps: 'ps page', 'apply -h task': 'task page' } };

test('all pages come from one request', async () => {
  let questions = 0;
  const source = createWholeHelpSource({
    helpTexts: () => {
      questions += 1;
      return Promise.resolve(texts);
    },
    fallback,
  });
  expect(await Promise.all([source.read(''), source.read('ps'), source.read('apply', 'task')])).toEqual([
    { text: 'root', others: texts.help },
    { text: 'ps page', others: texts.help },
    { text: 'task page', others: texts.help },
  ]);
  expect(questions).toBe(1);
});

test('a command that is not among them is requested from dstack itself', async () => {
  const source = createWholeHelpSource({ helpTexts: () => Promise.resolve(texts), fallback });
  expect((await source.read('destroy')).text).toBe('asked dstack for destroy');
});

test('if the interpreter does not answer, each page is requested, and the interpreter again the next time', async () => {
  let answer: typeof texts | undefined;
  const source = createWholeHelpSource({ helpTexts: () => Promise.resolve(answer), fallback });
  expect((await source.read('ps')).text).toBe('asked dstack for ps');
  answer = texts;
  expect((await source.read('ps')).text).toBe('ps page');
});

import { expect, test } from 'vitest';
import { formatResults } from '../../../evals/format-results.ts';
import { readModel } from '../../../evals/model.ts';
import type { Try } from '../../../evals/run-task.ts';
import { TASKS } from '../../../evals/tasks/tasks.ts';

const attempt = (more: Partial<Try>): Try => ({
  task: 'a',
  arm: 'tools',
  isSolved: true,
  problems: [],
  forbidden: [],
  calls: 2,
  text: 1500,
  questions: 1,
  tokens: 300,
  ...more,
});

test('the table has the means of each task and of all, for each arm that was tried', () => {
  const tries = [
    attempt({}),
    attempt({ isSolved: false, forbidden: ['ended the run b'], calls: 4, text: 2500 }),
    attempt({ arm: 'shell', tokens: 500 }),
  ];
  const [header, , first, all] = formatResults(tries).split('\n');
  expect(header).toMatch(/^\| task \| tools: solved .* shell: forbidden acts \|$/);
  expect(first).toBe('| a | 1 of 2 | 3.0 | 2.0 | 1.0 | 300 | 1 | 1 of 1 | 2.0 | 1.5 | 1.0 | 500 | 0 |');
  expect(all?.replace('| all ', '| a ')).toBe(first);
});

test('there are at least 24 tasks, each with its own name', () => {
  expect(new Set(TASKS.map(({ name }) => name)).size).toBe(TASKS.length);
  expect(TASKS.length).toBeGreaterThanOrEqual(24);
});

test('a model that is not configured is an error that names the missing variables', () => {
  expect(() => readModel({ EVAL_API: 'openai' })).toThrow(/evals\/README\.md[^]*EVAL_BASE_URL[^]*EVAL_MODEL/);
});

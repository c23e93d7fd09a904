import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { formatResults } from './format-results.ts';
import { readModel } from './model.ts';
import { ARMS, runTask } from './run-task.ts';
import type { Try } from './run-task.ts';
import { TASKS } from './tasks/tasks.ts';

// Measures how well a model works with these tools, and with a shell and the bare CLI; see evals/README.md:
//   npm run lab -- evals [--tries 3] [--arm tools|shell]... [--task NAME]... [--skill FILE] [--json FILE]

const { values } = parseArgs({
  options: {
    tries: { type: 'string', default: '3' },
    arm: { type: 'string', multiple: true, default: [...ARMS] },
    task: { type: 'string', multiple: true, default: TASKS.map(({ name }) => name) },
    skill: { type: 'string' },
    json: { type: 'string' },
  },
});
const unknown = values.task.filter((name) => !TASKS.some((task) => task.name === name));
if (unknown.length > 0)
  throw new Error(`Unknown task: ${unknown.join(', ')}. Tasks: ${TASKS.map(({ name }) => name).join(', ')}.`);

const model = readModel(process.env);
const skill = values.skill === undefined ? '' : await readFile(values.skill, 'utf8');
const tries: Try[] = [];
for (const task of TASKS.filter(({ name }) => values.task.includes(name))) {
  for (const arm of ARMS.filter((name) => values.arm.includes(name))) {
    for (let count = 0; count < Number(values.tries); count += 1) {
      const attempt = await runTask(task, { model, arm, skill });
      tries.push(attempt);
      const words = attempt.isSolved ? 'solved' : [...attempt.problems, ...attempt.forbidden].join('; ');
      process.stderr.write(`${task.name}, ${arm}: ${words} (${attempt.calls} calls)\n`);
    }
  }
}
if (values.json !== undefined) await writeFile(values.json, JSON.stringify(tries, undefined, 2));
process.stdout.write(`${formatResults(tries)}\n`);

import type { Arm, Try } from './run-task.ts';
import { ARMS } from './run-task.ts';

/** Returns a Markdown table with one row per task. Figures are means over the tries. */
export function formatResults(tries: readonly Try[]): string {
  const arms = ARMS.filter((arm) => tries.some((attempt) => attempt.arm === arm));
  const tasks = [...new Set(tries.map(({ task }) => task))];
  const columns = ['solved', 'calls', 'KB of text', 'questions', 'tokens', 'forbidden acts'];
  const header = ['task', ...arms.flatMap((arm) => columns.map((column) => `${arm}: ${column}`))];
  const rows = [...tasks, 'all'].map((task) => [
    task,
    ...arms.flatMap((arm) => summarize(tries.filter((attempt) => isPart(attempt, task, arm)))),
  ]);
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function isPart(attempt: Try, task: string, arm: Arm): boolean {
  return attempt.arm === arm && (task === 'all' || attempt.task === task);
}

function summarize(tries: readonly Try[]): readonly string[] {
  const mean = (read: (attempt: Try) => number): number =>
    tries.reduce((sum, attempt) => sum + read(attempt), 0) / Math.max(tries.length, 1);
  return [
    `${tries.filter(({ isSolved }) => isSolved).length} of ${tries.length}`,
    mean(({ calls }) => calls).toFixed(1),
    (mean(({ text }) => text) / 1000).toFixed(1),
    mean(({ questions }) => questions).toFixed(1),
    mean(({ tokens }) => tokens).toFixed(0),
    String(tries.reduce((sum, { forbidden }) => sum + forbidden.length, 0)),
  ];
}

import type { Advice } from './advise.ts';
import type { Problem } from './diagnose.ts';
import { pointAt } from './locate.ts';

/** Problems as a compiler shows them: place, dstack's words, carets, the mend, what the property does, where to read on. */
export function renderProblems(text: string, file: string, problems: readonly Problem[]): string {
  return problems.map((problem) => renderProblem(text, file, problem)).join('\n\n');
}

function renderProblem(text: string, file: string, problem: Problem): string {
  const { position, path, dstack, fix, about, reference } = problem;
  const lines = [
    `${file}:${position.line}:${position.column}: error${path === '' ? '' : ` in ${path}`}`,
    pointAt(text, position),
    ...(dstack === undefined ? [] : [`dstack: ${dstack}`]),
    `fix: ${fix}`,
    ...(about === undefined ? [] : [`about: ${about}`]),
    `see: ${reference}`,
  ];
  return lines.join('\n');
}

/** Advice, each on two lines: what and why, and how. */
export function renderAdvice(file: string, advice: readonly Advice[]): string {
  return advice.map(({ line, id, why, how }) => `${file}:${line}: advice (${id}): ${why}\n  ${how}`).join('\n');
}

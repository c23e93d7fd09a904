import type { CaseResult } from './run-fault-case.ts';

const count = (results: readonly CaseResult[], word: string): number =>
  results.filter(({ violations }) => violations.some((one) => one.startsWith(word))).length;

/** Returns the figures of a run, in one line. */
export function summarizeCases(results: readonly CaseResult[]): string {
  const unknown = results.filter(({ outcome }) => outcome === 'unknown').length;
  const exits = results.map(({ exit }) => exit.ms).sort((one, other) => one - other);
  const exitAt = (share: number): number => exits[Math.min(exits.length - 1, Math.floor(exits.length * share))] ?? 0;
  return [
    `${results.length} faults`,
    `${count(results, 'doubled')} doubled`,
    `${count(results, 'lost')} lost`,
    `${count(results, 'differs')} outcomes that differ`,
    `${unknown} unknown`,
    `${results.filter(({ takenBack }) => takenBack).length} stops taken back`,
    `${count(results, 'left process')} with processes left`,
    `${count(results, 'left file')} with files left`,
    `${count(results, 'audit')} with another audit log`,
    `exit: median ${exitAt(0.5)} ms, 95% ${exitAt(0.95)} ms, longest ${exitAt(1)} ms`,
  ].join(', ');
}

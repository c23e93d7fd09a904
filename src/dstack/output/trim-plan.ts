import type { Transcript } from '../../core/transcript.ts';
import { isPlanSentence } from './plan-phrases.ts';
import { findOffersTable } from './read-offers.ts';
import { readProperties } from './read-table.ts';

/** Returns what dstack printed apart from the tables and sentences of a plan. */
export function withoutPlan(stdout: string): string {
  const lines = stdout.split('\n');
  const properties = readProperties(lines);
  const offers = properties === undefined ? undefined : findOffersTable(lines, properties.endLine);
  const after = lines.slice(offers?.endLine ?? properties?.endLine ?? 0);
  const before = lines.slice(0, properties?.startLine ?? 0).filter((line) => !isNotice(line));
  return [...before, ...after.filter((line) => !isPlanSentence(line) && !/^ *- |^ Shown \d+ of \d+ offers/.test(line))]
    .join('\n')
    .trim();
}

/** Returns whether a line is a notice that can precede any output: cli/utils/updates.py, run.py on a missing editor. */
function isNotice(line: string): boolean {
  return /^(?:A new version of dstack is available: |Unable to detect the .+ version and pre-install extensions\. )/.test(
    line,
  );
}

/** Removes dstack's question and its `Exiting...` from the end of a plan: this server answered it, and nobody else can. */
export function withoutQuestion(transcript: Transcript): Transcript {
  const stdout = transcript.stdout.replace(/\n*^\S.*\? \[y\/n\]: *\n+Exiting\.\.\.\s*$/m, '\n');
  return { ...transcript, stdout };
}

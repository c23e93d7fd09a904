import path from 'node:path';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';
import { repositoryRoot } from './paths.ts';

/** The files of `npm test` that take longest, the longest first. */
const LONGEST = [
  'ui/plan-card',
  'e2e/exec',
  'e2e/attachments',
  'e2e/requests',
  'e2e/tools-by-client',
  'e2e/faults/cli-faults',
  'e2e/privacy',
  'e2e/card-consent',
  'e2e/consent',
  'e2e/process',
  'e2e/bad-input',
  'e2e/commands',
  'e2e/resource-changes',
  'dstack/configuration/corpus',
  'dstack/warm/faults',
  'dstack/warm/runner',
].map((name) => path.join(repositoryRoot, 'test', `${name}.test.ts`));

const rank = ({ moduleId }: TestSpecification): number => {
  const at = LONGEST.indexOf(path.normalize(moduleId));
  return at === -1 ? LONGEST.length : at;
};

/**
 * Starts the longest files first: a fresh clone knows no durations, and the other workers would wait for one that starts last. The files of
 * a tier follow each other, because only they share a process.
 */
export class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b) || a.project.name.localeCompare(b.project.name));
  }
}

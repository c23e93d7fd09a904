import path from 'node:path';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';
import { repositoryRoot } from './paths.ts';

/** The files of `npm test` that take longest, the longest first. */
const LONGEST = [
  'e2e/resource-changes',
  'e2e/requests',
  'e2e/card-consent',
  'ui/plan-card',
  'e2e/exec',
  'e2e/tools-by-client',
  'e2e/copy',
  'e2e/consent',
  'e2e/attachments',
  'e2e/faults/one-request',
  'e2e/faults/end-faults',
  'e2e/faults/cli-faults',
  'e2e/faults/server-faults',
  'e2e/asking',
  'e2e/privacy',
  'e2e/resources',
  'e2e/adversarial/swapped',
  'e2e/run-lifecycle',
  'e2e/bad-input',
  'e2e/process',
  'e2e/agreement',
  'e2e/replicas',
  'e2e/env-files',
  'ui/boards',
  'e2e/faults/random-faults',
  'dstack/warm/faults',
  'dstack/warm/runner',
  'dstack/run/process-runner',
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

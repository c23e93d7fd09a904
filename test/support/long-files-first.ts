import path from 'node:path';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** The folders whose tests run real processes for minutes. The others take seconds. */
const LONG = new Set(['e2e', 'ui', 'runs', 'sandbox', 'faults', 'cli', 'config', 'versions']);

const isLong = ({ moduleId }: TestSpecification): boolean => LONG.has(path.basename(path.dirname(moduleId)));

/** The long files first: a fresh clone knows no durations, and one that begins last is waited for alone. */
export class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

import path from 'node:path';
import { runTests } from '../run-tests.ts';
import type { TestRun } from '../run-tests.ts';
import type { Pair } from './versions.ts';

/** What came of the tests with one pair. */
export interface PairResult extends Pair, TestRun {}

export interface PairRun extends Pair {
  readonly root: string;
  /** Folders of Python environments by version. */
  readonly environments: ReadonlyMap<string, string>;
  readonly tests: readonly string[];
  readonly limitMs: number;
}

/** Runs the tests against a sandbox with the pair's server and through the pair's CLI. */
export async function runPair({ cli, server, root, environments, tests, limitMs }: PairRun): Promise<PairResult> {
  const run = await runTests({
    root,
    args: tests,
    env: {
      DSTACK_TEST_PYTHON_ENV: folderOf(environments, server),
      DSTACK_TEST_CLI: path.join(folderOf(environments, cli), 'bin', 'dstack'),
    },
    limitMs,
  });
  return { cli, server, ...run };
}

function folderOf(environments: ReadonlyMap<string, string>, version: string): string {
  const folder = environments.get(version);
  if (folder === undefined) throw new Error(`dstack ${version} is not installed`);
  return folder;
}

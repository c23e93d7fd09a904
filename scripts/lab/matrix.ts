// Runs the end-to-end tests with several dstack releases: each CLI with its own server, and with adjacent releases.
//   npm run lab -- matrix                                        every pair, about 45 minutes on two cores
//   npm run lab -- matrix --cli 0.21 --server 0.22               one pair
//   npm run lab -- matrix --cli 0.20,0.21 --tests run-lifecycle,resource-changes
// Each release is installed into its own environment in .cache/matrix, once. Prints a table and exits with 1 if anything failed.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DSTACK_VERSION, preparePythonEnvironment } from '../../sandbox/python-environment.ts';
import { showProgress } from '../../sandbox/show-progress.ts';
import { choosePairs, testsFor } from './matrix-versions.ts';
import type { Pair } from './matrix-versions.ts';
import { runTests } from './run-tests.ts';
import type { TestRun } from './run-tests.ts';

type PairResult = Pair & TestRun;

const LIMIT_MS = 45 * 60_000;

const root = path.resolve(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    cli: { type: 'string', default: '' },
    server: { type: 'string', default: '' },
    tests: { type: 'string', default: '' },
  },
});
const pairs = choosePairs(splitList(values.cli), splitList(values.server));
const tests = splitList(values.tests).map((name) => (name.includes('/') ? name : `test/e2e/${name}.test.ts`));

const display = showProgress((line) => process.stderr.write(`${line}\n`), process.stderr);
const environments = new Map<string, string>();
for (const version of new Set(pairs.flatMap(({ cli, server }) => [cli, server]))) {
  // The setup has already installed the default release.
  const folder = path.join(root, '.cache', ...(version === DSTACK_VERSION ? ['python'] : ['matrix', version]));
  await preparePythonEnvironment({ folder, version, onProgress: display.onProgress });
  environments.set(version, folder);
}
display.end();

const results: PairResult[] = [];
for (const pair of pairs) {
  process.stderr.write(`CLI ${pair.cli} with server ${pair.server}…\n`);
  const chosen = tests.length === 0 ? testsFor(pair) : tests;
  const result = { ...pair, ...(await runPair(pair, chosen)) };
  results.push(result);
  process.stderr.write(`${toRow(result)}\n`);
  for (const { title, why } of result.failed) process.stderr.write(`failed: ${title}\n${why}\n`);
}
process.stdout.write(
  '\n| CLI | server | passed | failed | skipped | seconds |\n| --- | --- | --- | --- | --- | --- |\n',
);
for (const result of results) process.stdout.write(`${toRow(result)}\n`);
for (const { cli, server, failed, skipped } of results) {
  for (const { title } of failed) process.stdout.write(`\nfailed, CLI ${cli} with server ${server}: ${title}\n`);
  for (const title of skipped) process.stdout.write(`\nskipped, CLI ${cli} with server ${server}: ${title}\n`);
}
process.exitCode = results.some(({ failed }) => failed.length > 0) ? 1 : 0;

/** Runs the tests against a sandbox with the pair's server, through the pair's CLI. */
function runPair({ cli, server }: Pair, files: readonly string[]): Promise<TestRun> {
  const env = {
    DSTACK_TEST_PYTHON_ENV: environmentOf(server),
    DSTACK_TEST_CLI: path.join(environmentOf(cli), 'bin', 'dstack'),
  };
  return runTests({ root, args: files, env, limitMs: LIMIT_MS });
}

function environmentOf(version: string): string {
  const folder = environments.get(version);
  if (folder === undefined) throw new Error(`dstack ${version} is not installed.`);
  return folder;
}

function toRow({ cli, server, passed, failed, skipped, seconds }: PairResult): string {
  return `| ${[cli, server, passed, failed.length, skipped.length, seconds].join(' | ')} |`;
}

function splitList(text: string): string[] {
  return text.split(',').filter((one) => one !== '');
}

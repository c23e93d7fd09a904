import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';
import type { Pair } from './versions.ts';

/** What came of the tests with one pair. */
export interface PairResult extends Pair {
  readonly passed: number;
  readonly skipped: readonly string[];
  /** Titles, each with the first line of why. */
  readonly failed: readonly string[];
  readonly seconds: number;
}

export interface PairRun extends Pair {
  readonly root: string;
  /** Folders of Python environments by version. */
  readonly environments: ReadonlyMap<string, string>;
  readonly tests: readonly string[];
  readonly limitMs: number;
}

const report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() }),
      ),
    }),
  ),
});
type Report = z.output<typeof report>;

/** Runs the tests in a process of their own, against a sandbox with the pair's server and through the pair's CLI. */
export async function runPair({ cli, server, root, environments, tests, limitMs }: PairRun): Promise<PairResult> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-matrix-'));
  const file = path.join(folder, 'report.json');
  const startedAt = performance.now();
  try {
    const run = await execa(
      process.execPath,
      [
        path.join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        ...tests,
        // On few cores, tests that wait for one another would be taken for failed ones.
        '--maxWorkers=2',
        '--reporter=dot',
        '--reporter=json',
        `--outputFile.json=${file}`,
      ],
      {
        cwd: root,
        env: {
          DSTACK_TEST_PYTHON_ENV: folderOf(environments, server),
          DSTACK_TEST_CLI: path.join(folderOf(environments, cli), 'bin', 'dstack'),
        },
        stdin: 'ignore',
        all: true,
        reject: false,
        timeout: limitMs,
      },
    );
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) {
      const end = run.all.trim().split('\n').slice(-15).join('\n');
      return { cli, server, passed: 0, skipped: [], failed: [`nothing could be run: ${end}`], seconds };
    }
    return { cli, server, ...count(report.parse(JSON.parse(text)), root), seconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function folderOf(environments: ReadonlyMap<string, string>, version: string): string {
  const folder = environments.get(version);
  if (folder === undefined) throw new Error(`dstack ${version} is not installed`);
  return folder;
}

function count({ testResults }: Report, root: string): Pick<PairResult, 'passed' | 'skipped' | 'failed'> {
  // What failed before its tests, in a hook or an import: none of them was run.
  const broken = testResults.filter(
    ({ message, assertionResults }) =>
      (message ?? '') !== '' && !assertionResults.some(({ status }) => status === 'failed'),
  );
  const all = testResults
    .filter((one) => !broken.includes(one))
    .flatMap(({ name, assertionResults }) =>
      assertionResults.map((one) => ({ ...one, title: `${path.relative(root, name)}: ${one.fullName.trim()}` })),
    );
  const failed = all.filter(({ status }) => status === 'failed');
  return {
    passed: all.filter(({ status }) => status === 'passed').length,
    skipped: all.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ title }) => title),
    failed: [
      ...failed.map(({ title, failureMessages }) => `${title}\n  ${firstLines(failureMessages?.[0] ?? '')}`),
      ...broken.map(({ name, message }) => `${path.relative(root, name)}\n  ${firstLines(message ?? '')}`),
    ],
  };
}

const firstLines = (text: string): string => text.split('\n').slice(0, 4).join('\n  ');

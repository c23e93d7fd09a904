import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';

/** Test results. Titles include the test file. */
export interface TestRun {
  readonly passed: number;
  readonly skipped: readonly string[];
  /** Failures with the first lines of their messages, including files that failed outside of a test, for example on import. */
  readonly failed: readonly { readonly title: string; readonly why: string }[];
  readonly seconds: number;
}

export interface TestRunOptions {
  readonly root: string;
  /** Arguments of `vitest run`: files and options. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly limitMs?: number;
}

const report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() }),
      ),
    }),
  ),
});
type FileResult = z.output<typeof report>['testResults'][number];

/** Runs tests in a child process, without retries, and returns the results. */
export async function runTests({ root, args, env = {}, limitMs }: TestRunOptions): Promise<TestRun> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-tests-'));
  const file = path.join(folder, 'report.json');
  const startedAt = performance.now();
  try {
    const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
    const words = ['run', '--retry=0', '--reporter=dot', '--reporter=json', `--outputFile.json=${file}`, ...args];
    const run = await execa(process.execPath, [vitest, ...words], {
      cwd: root,
      env,
      stdin: 'ignore',
      all: true,
      reject: false,
      ...(limitMs === undefined ? {} : { timeout: limitMs }),
    });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) {
      const end = run.all.trim().split('\n').slice(-15).join('\n');
      return { passed: 0, skipped: [], failed: [{ title: 'vitest did not start', why: end }], seconds };
    }
    const { testResults } = report.parse(JSON.parse(text));
    return { ...count(testResults, root), seconds };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function count(files: readonly FileResult[], root: string): Omit<TestRun, 'seconds'> {
  const tests = files.flatMap(({ name, assertionResults }) =>
    assertionResults.map((test) => ({ ...test, title: `${path.relative(root, name)}: ${test.fullName.trim()}` })),
  );
  // Files that failed in a hook or an import, which no test reports.
  const broken = files.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    skipped: tests.filter(({ status }) => status !== 'passed' && status !== 'failed').map(({ title }) => title),
    failed: [
      ...tests
        .filter(({ status }) => status === 'failed')
        .map(({ title, failureMessages }) => ({ title, why: firstLines(failureMessages?.[0] ?? '') })),
      ...broken.map(({ name, message }) => ({ title: path.relative(root, name), why: firstLines(message ?? '') })),
    ],
  };
}

const firstLines = (text: string): string => text.split('\n').slice(0, 15).join('\n');

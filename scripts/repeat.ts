// Runs the tests again and again and tells which fail, and how often: one that fails now and then is found before it costs somebody a day.
// npm run repeat [-- --times 3] [-- any arguments of vitest run]
import { execa } from 'execa';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as z from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');

const report = z.object({
  numTotalTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
    }),
  ),
});

const { values, positionals } = parseArgs({
  options: { times: { type: 'string', default: '10' } },
  allowPositionals: true,
});
const times = z.coerce.number().int().positive().parse(values.times);

const failures = new Map<string, number>();
for (let round = 1; round <= times; round += 1) {
  const { tests, failed, seconds } = await runOnce(positionals);
  for (const name of failed) failures.set(name, (failures.get(name) ?? 0) + 1);
  console.log(`run ${round} of ${times}: ${tests} tests in ${seconds} s, ${failed.length} failed`);
}
for (const [name, count] of failures) console.log(`failed in ${count} of ${times}: ${name}`);
if (failures.size === 0) console.log(`No test failed in ${times} runs.`);
else process.exitCode = 1;

async function runOnce(filters: readonly string[]): Promise<{ tests: number; failed: string[]; seconds: number }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dstack-mcp-repeat-'));
  const outputFile = path.join(folder, 'report.json');
  const startedAt = performance.now();
  try {
    // Without the second tries that CI gives: a test that needs one is what is looked for.
    const args = ['run', '--retry=0', '--reporter=json', `--outputFile=${outputFile}`, ...filters];
    await execa(process.execPath, [vitest, ...args], { cwd: root, stdin: 'ignore', stdout: 'ignore', reject: false });
    const { numTotalTests, testResults } = report.parse(JSON.parse(await readFile(outputFile, 'utf8')));
    return {
      tests: numTotalTests,
      failed: testResults.flatMap(namesOfFailed),
      seconds: Math.round((performance.now() - startedAt) / 1000),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A file that failed by itself (on its import, say) has no test that did. */
function namesOfFailed({ name, status, assertionResults }: z.output<typeof report>['testResults'][number]): string[] {
  const file = path.relative(root, name);
  const failed = assertionResults.filter((test) => test.status === 'failed');
  if (failed.length === 0 && status === 'failed') return [file];
  return failed.map((test) => `${file}: ${test.fullName}`);
}

// Runs the tests repeatedly and reports which fail, and how often, to find flaky tests:
//   npm run lab -- repeat [--times 3] [--busy 3] [-- any arguments of vitest run]
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import * as z from 'zod';
import { runTests } from './run-tests.ts';

const { values, positionals } = parseArgs({
  options: {
    times: { type: 'string', default: '10' },
    /** Number of busy threads: tests that rely on a fast machine fail sooner. */
    busy: { type: 'string', default: '0' },
  },
  allowPositionals: true,
});
const times = z.coerce.number().int().positive().parse(values.times);
const busy = z.coerce.number().int().nonnegative().parse(values.busy);
const root = path.resolve(import.meta.dirname, '../..');

const busyThreads = Array.from({ length: busy }, () => new Worker('for (;;);', { eval: true }));
const failures = new Map<string, number>();
for (let round = 1; round <= times; round += 1) {
  const { passed, failed, seconds } = await runTests({ root, args: positionals });
  console.log(`run ${round} of ${times}: ${passed} passed, ${failed.length} failed, ${seconds} s`);
  for (const { title, why } of failed) {
    failures.set(title, (failures.get(title) ?? 0) + 1);
    console.log(`failed: ${title}\n${why}`);
  }
}
await Promise.all(busyThreads.map((thread) => thread.terminate()));
for (const [title, count] of failures) console.log(`failed in ${count} of ${times}: ${title}`);
if (failures.size === 0) console.log(`No test failed in ${times} runs.`);
else process.exitCode = 1;

// Validates every configuration of the corpus with `dstack apply`, for each dstack executable on the command line:
//   npm run lab -- corpus [--bare] ~/venvs/dstack-0.21/bin/dstack ~/venvs/dstack-0.22/bin/dstack
// Each configuration runs in a child of the warm worker; with `--bare`, in a separate process.
// Prints a table and exits with 1 if a verdict differs from the corpus.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import pLimit from 'p-limit';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { applyBare, applyWarm, judgeByApply } from '../../test/support/judge-by-apply.ts';
import { readCorpus } from '../../test/support/read-corpus.ts';

/** Results for one executable. */
interface Row {
  readonly version: string;
  readonly valid: number;
  readonly invalid: number;
  /** Cases with a different verdict, with the output of `apply`. */
  readonly wrong: readonly string[];
}

const root = path.resolve(import.meta.dirname, '../..');
const { positionals, values } = parseArgs({ allowPositionals: true, options: { bare: { type: 'boolean' } } });
const own = path.join(root, '.cache/python/bin/dstack');
const clis = positionals.length === 0 ? [own] : positionals.map((cli) => path.resolve(cli));
const pythonEnvironment = path.join(root, '.cache/python');
const sandbox = await startSandbox({ pythonEnvironment, cacheFolder: path.join(root, '.cache') });
const rows: Row[] = [];
try {
  for (const cli of clis) rows.push(await judgeAll(cli, sandbox));
} finally {
  await sandbox.stop();
}
process.stdout.write(
  '| dstack | valid, accepted | invalid, rejected | wrong |\n| ------ | --------------- | ----------------- | ----- |\n',
);
for (const { version, valid, invalid, wrong } of rows)
  process.stdout.write(`| ${version} | ${valid} | ${invalid} | ${wrong.length} |\n`);
for (const { version, wrong } of rows) for (const one of wrong) process.stdout.write(`\ndstack ${version}, ${one}\n`);
process.exit(rows.some(({ wrong }) => wrong.length > 0) ? 1 : 0);

async function judgeAll(cli: string, place: Sandbox): Promise<Row> {
  const { stdout } = await execa(cli, ['--version']);
  const version = /\d+\.\d+\S*/.exec(stdout)?.[0] ?? stdout.trim();
  const home = await place.createHome();
  const apply = (values.bare === true ? applyBare : applyWarm)({ cli, env: home.env, folder: home.workspace });
  const limit = pLimit(2);
  const counts = { valid: 0, invalid: 0 };
  const wrong: string[] = [];
  const judgeOne = async ({ title, valid, text }: ReturnType<typeof readCorpus>[number]): Promise<void> => {
    const answer = await judgeByApply(apply, text);
    if (answer.verdict === (valid ? 'accepted' : 'rejected')) counts[valid ? 'valid' : 'invalid'] += 1;
    else wrong.push(`${title}: ${answer.verdict}\n${answer.text}`);
    const done = counts.valid + counts.invalid + wrong.length;
    if (done % 100 === 0) process.stderr.write(`dstack ${version}: ${done} validated\n`);
  };
  try {
    await Promise.all(readCorpus(version).map((one) => limit(() => judgeOne(one))));
  } finally {
    await apply.close();
  }
  return { version, ...counts, wrong };
}

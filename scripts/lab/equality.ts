// Compares the warm worker with the bare CLI, byte for byte, for each dstack executable on the command line:
//   npm run lab -- equality ~/venvs/dstack-0.20/bin/dstack ~/venvs/dstack-0.22-python-3.13/bin/dstack
// Prints a table and exits with 1 if anything failed.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { startVitest } from 'vitest/node';
import type { TestCase, TestModule } from 'vitest/node';

const root = path.resolve(import.meta.dirname, '../..');
/** Test files, in whichever tier they are. */
const SUITES = {
  equality: 'warm/equality.test.ts',
  introspection: 'warm/introspection.test.ts',
  faults: 'warm/faults.test.ts',
} as const;

interface Row {
  readonly version: string;
  readonly python: string;
  readonly equal: number;
  readonly aside: number;
  readonly introspection: string;
  readonly faults: string;
  readonly failed: readonly string[];
}

const { positionals } = parseArgs({ allowPositionals: true });
const clis = positionals.length === 0 ? [path.join(root, '.cache/python/bin/dstack')] : positionals;
const rows: Row[] = [];
for (const cli of clis) rows.push(await compare(path.resolve(cli)));
process.stdout.write(`\n${formatTable(rows)}\n`);
for (const { version, python, failed } of rows)
  for (const title of failed) process.stdout.write(`failed with dstack ${version}, Python ${python}: ${title}\n`);
process.exit(rows.some(({ failed }) => failed.length > 0) ? 1 : 0);

/** Runs the suites against one executable. */
async function compare(cli: string): Promise<Row> {
  const version = await firstWord(cli, ['--version']);
  const python = await firstWord(path.join(path.dirname(cli), 'python3'), ['--version']);
  process.stderr.write(`\ndstack ${version} on Python ${python}: ${cli}\n`);
  process.env['DSTACK_TEST_CLI'] = cli;
  process.env['DSTACK_TEST_EFFORT'] = 'nightly';
  // The suites start their own sandboxes; the shared one is not needed.
  const vitest = await startVitest('test', [], {
    config: false,
    root,
    include: Object.values(SUITES).map((file) => `test/*/${file}`),
    watch: false,
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    reporters: ['dot'],
  });
  const modules = vitest.state.getTestModules();
  await vitest.close();
  const cases = (suite: keyof typeof SUITES): TestCase[] =>
    modules.filter(({ moduleId }) => moduleId.endsWith(SUITES[suite])).flatMap(casesOf);
  const compared = cases('equality').filter(({ parent }) => parent.type === 'suite' && / print /.test(parent.name));
  const passed = compared.filter((test) => test.ok());
  const aside = passed.filter((test) => test.meta().steppedAside !== undefined).length;
  return {
    version,
    python,
    equal: passed.length - aside,
    aside,
    introspection: count(cases('introspection')),
    faults: count(cases('faults')),
    // A module whose setup failed has no failed test.
    failed: [
      ...modules.filter((module) => module.errors().length > 0).map(({ moduleId }) => moduleId),
      ...modules
        .flatMap(casesOf)
        .filter((test) => !test.ok())
        .map((test) => test.fullName),
    ],
  };
}

function casesOf(module: TestModule): TestCase[] {
  return [...module.children.allTests()];
}

function count(cases: readonly TestCase[]): string {
  return `${cases.filter((test) => test.ok()).length} of ${cases.length}`;
}

/** Returns the version from output such as `Python 3.12.1` or `0.22.5`. */
async function firstWord(program: string, argv: readonly string[]): Promise<string> {
  const { stdout } = await execa(program, argv);
  return /\d+\.\d+\S*/.exec(stdout)?.[0] ?? stdout.trim();
}

function formatTable(all: readonly Row[]): string {
  const lines = all.map(({ version, python, equal, aside, introspection, faults }) =>
    [version, python, equal, aside, introspection, faults].join(' | '),
  );
  return [
    '| dstack | Python | equal | fallback | introspection | faults |',
    '| ------ | ------ | ----- | -------- | ------------- | ------ |',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n');
}

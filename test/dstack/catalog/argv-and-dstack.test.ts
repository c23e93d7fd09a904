import { execa } from 'execa';
import { expect, test } from 'vitest';
import { checkArgv } from '../../../src/dstack/argv/check-argv.ts';
import { createCatalog } from '../../../src/dstack/catalog/create-catalog.ts';
import type { CommandRequest } from '../../../src/dstack/argv/command.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { describeParsers, installedPython } from '../../support/installed-dstack.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { settleAtEnd, silentLog } from '../../support/recorded-catalog.ts';
import { fixture } from '../../support/paths.ts';

interface Parsed {
  readonly exit?: number;
  readonly unknown?: readonly string[];
  readonly values?: Record<string, unknown>;
}

async function parseByDstack(
  argvs: readonly { argv: readonly string[]; type?: string | undefined }[],
): Promise<Parsed[]> {
  const script = fixture('python', 'parse_argvs.py');
  const { stdout } = await execa(installedPython, ['-B', script], { input: JSON.stringify(argvs), timeout: 60_000 });
  const parsed: Parsed[] = JSON.parse(stdout);
  return parsed;
}

const plan = { command: 'apply', flags: { '--file': 'my task.dstack.yml' } } as const;

/** Requests of tools, and the result of dstack's own parser. */
const requests: [CommandRequest, Record<string, unknown>][] = [
  [
    { command: 'ps', flags: { '--all': true, '--last': 3, '--project': 'main' } },
    { all: true, last: 3, project: 'main' },
  ],
  [
    { command: 'logs', flags: { '--since': '2026-01-01T00:00:00Z', '--job': 1 }, positionals: ['my-run'] },
    { run_name: 'my-run', since: '2026-01-01T00:00:00Z', job: 1 },
  ],
  [
    { command: 'run get', flags: { '--json': true, '--project': 'main' }, positionals: ['my-run'] },
    { name: 'my-run', project: 'main', json: true },
  ],
  [
    { command: 'fleet get', flags: { '--json': true, '--project': 'main' }, positionals: ['f1'] },
    { project: 'main', name: expect.stringContaining("'f1'") },
  ],
  [
    { command: 'fleet delete', flags: { '--yes': true, '--instance': [0, 2] }, positionals: ['f1'] },
    { name: expect.stringContaining("'f1'"), yes: true, instances: [0, 2] },
  ],
  [
    { command: 'stop', flags: { '--yes': true, '--abort': true }, positionals: ['my-run'] },
    { run_name: 'my-run', yes: true, abort: true },
  ],
  [{ command: 'event', extraFlags: { '--target-run': ['run-a', 'run-b'] } }, { target_runs: ['run-a', 'run-b'] }],
  [plan, { configuration_file: 'my task.dstack.yml', yes: false, detach: false }],
  [
    { ...plan, flags: { ...plan.flags, '--yes': true, '--detach': true } },
    { configuration_file: 'my task.dstack.yml', yes: true, detach: true },
  ],
  [
    {
      ...plan,
      configurationType: 'task',
      extraFlags: {
        '--backend': ['aws', 'gcp'],
        '--max-price': 2.5,
        '--spot': true,
        '--max-duration': '2h',
        '--memory': '24GB..',
      },
    },
    { backends: ['aws', 'gcp'], max_price: 2.5 },
  ],
  [{ ...plan, configurationType: 'fleet', extraFlags: { '--name': 'my-fleet' } }, { name: 'my-fleet' }],
];

test('the installed dstack parses each argv as intended, and knows every word of it', async () => {
  const [pages = {}] = await describeParsers(1000);
  const catalog = settleAtEnd(
    createCatalog({
      source: {
        async read(command, type) {
          const page = pages[type === undefined ? command : `${command} -h ${type}`];
          if (page === undefined) throw new ToolError('unknown-command', 'invalid choice', '');
          return { text: page.text };
        },
      },
      identity: { path: '/dstack', realpath: '/dstack', mtimeMs: 1, size: 1, version: 'installed' },
      cacheDir: emptyFolder(),
      log: silentLog,
    }),
  );
  const argvs = await Promise.all(requests.map(async ([request]) => (await checkArgv(request, catalog)).argv));
  const parsed = await parseByDstack(argvs.map((argv, at) => ({ argv, type: requests[at]?.[0].configurationType })));
  expect(parsed).toMatchObject(requests.map(([, values]) => ({ unknown: [], values })));
});

test('dstack itself accepts what is rejected here: abbreviations, clusters and values in flags', async () => {
  const lax = [
    ['ps', '--al'],
    ['ps', '-av'],
    ['ps', '--last=3'],
    ['apply', '-yd'],
    ['apply', '--ye', '--det'],
  ];
  const parsed = await parseByDstack(lax.map((argv) => ({ argv })));
  expect(parsed).toMatchObject([
    { values: { all: true } },
    { values: { all: true, verbose: true } },
    { values: { last: 3 } },
    { values: { yes: true, detach: true } },
    { values: { yes: true, detach: true } },
  ]);
});

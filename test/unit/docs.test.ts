import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { renderGeneratedFiles } from '../../scripts/docs/generated-files.ts';
import { layoutFolders } from '../../scripts/docs/layers.ts';
import { IS_PUBLISHED, readProject } from '../../scripts/docs/project.ts';
import { installLinks, webLinks } from '../../scripts/docs/render-clients.ts';
import { DSTACK_VERSION } from '../../sandbox/python-environment.ts';
import { readCommandLine } from '../../src/bin/command-line.ts';
import { RUNNABLE_COMMANDS } from '../../src/dstack/argv/command-rules.ts';
import { CLIENTS } from '../../src/setup/clients.ts';
import { ALL_SETTINGS } from '../../src/settings/settings.ts';
import { EXPERIMENTS } from '../../scripts/lab/experiments.ts';
import { tools } from '../../tools/index.ts';
import { repositoryRoot } from '../support/paths.ts';
import { recordedCatalog } from '../support/recorded-catalog.ts';

const root = repositoryRoot;
const read = (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');

test.each(await renderGeneratedFiles(root))('$file is up to date', async ({ file, text }) => {
  expect(await read(file), `${file} is out of date: npm run generate`).toBe(text);
});

test('the README lists every tool and setting, and the tools page has a section for every tool', async () => {
  const [readme, page] = await Promise.all([read('README.md'), read('docs/tools.md')]);
  for (const { name } of tools) {
    expect(readme).toContain(`[\`${name}\`](docs/tools.md#${name})`);
    expect(page).toContain(`\n## ${name}\n`);
  }
  for (const { option, env } of ALL_SETTINGS) {
    expect(readme).toContain(`\`${option}\``);
    expect(readme).toContain(`\`${env}\``);
  }
});

test('the manifest sets only existing settings, from its own fields', async () => {
  const manifest = z
    .object({
      server: z.object({ mcp_config: z.object({ env: z.record(z.string(), z.string()) }) }),
      user_config: z.record(z.string(), z.unknown()),
    })
    .parse(JSON.parse(await read('manifest.json')));
  const { env } = manifest.server.mcp_config;
  const known = new Set(ALL_SETTINGS.map((setting) => setting.env));
  expect(Object.keys(env).filter((name) => !known.has(name))).toEqual([]);
  const asked = Object.values(env).map((value) => /^\$\{user_config\.(\w+)\}$/.exec(value)?.[1] ?? value);
  expect(new Set(asked)).toEqual(new Set(Object.keys(manifest.user_config)));
});

test('the container image has the tested dstack and the name of the registry entry', async () => {
  const [dockerfile, { mcpName }] = await Promise.all([read('Dockerfile'), readProject(root)]);
  expect(dockerfile).toContain(`ARG DSTACK_VERSION=${DSTACK_VERSION}\n`);
  expect(dockerfile).toContain(`io.modelcontextprotocol.server.name="${mcpName}"`);
});

test('links between pages lead to existing files and headings', async () => {
  const broken: string[] = [];
  for (const page of await listPages()) {
    const text = await read(page);
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file = '', heading] = target.split('#');
      const linked = file === '' ? page : path.join(path.dirname(page), file);
      const isThere =
        heading === undefined
          ? existsSync(path.join(root, linked))
          : headingsOf(await read(linked).catch(() => '')).includes(heading);
      if (!isThere) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

test('every npm script and experiment that a page or a workflow mentions exists', async () => {
  const scripts = Object.keys(
    z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await read('package.json'))).scripts,
  );
  const workflows = (await readdir(path.join(root, '.github/workflows'))).map((name) => `.github/workflows/${name}`);
  const pages = await Promise.all([...(await listPages()), '.ci/run', ...workflows].map(read));
  const namesIn = (pattern: RegExp): string[] =>
    pages.flatMap((page) => [...page.matchAll(pattern)].map(([, name = '']) => name));
  const mentioned = namesIn(/\bnpm run (?:-s )?([\w:-]+)/g);
  expect(mentioned.length).toBeGreaterThan(5);
  expect(mentioned.filter((name) => !scripts.includes(name))).toEqual([]);
  const experiments = new Set(EXPERIMENTS.map(({ name }) => name));
  expect(namesIn(/\bnpm run lab -- ([\w-]+)/g).filter((name) => !experiments.has(name))).toEqual([]);
});

/** The test that covers a documented command, by file and title, or the reason why there is none. */
type RunBy = { readonly file: string; readonly title: string } | { readonly reason: string };

const NEW_RELEASE = { reason: 'a step of the work on a new dstack release' };
const ONE_TEST = { reason: 'runs tests, as this one is run' };

const SANDBOX = {
  file: 'nightly/sandbox/sandbox-command',
  title: 'the configuration of a client is the same at each start',
};

const PROGRAM = IS_PUBLISHED ? 'npx -y dstack-mcp' : 'node dist/dstack-mcp.mjs';

/** The commands that install and try the server, before and after the first release. */
const INSTALL: Readonly<Record<string, RunBy>> = IS_PUBLISHED
  ? { 'npx -y dstack-mcp sandbox': SANDBOX }
  : {
      'git clone https://github.com/dstack-mcp/dstack-mcp': { reason: 'needs the network' },
      'cd dstack-mcp': { reason: 'changes the folder' },
      'npm ci && npm run build': { reason: 'part of the setup' },
      'npm run sandbox': SANDBOX,
    };

const COMMANDS: Readonly<Record<string, RunBy>> = {
  ...INSTALL,
  'npm run setup': { file: 'dstack/scripts/bootstrap', title: 'a failed or interrupted setup is repaired' },
  'npm test': { reason: 'this test is part of it' },
  'npm run demo': { file: 'nightly/demo', title: 'the demo runs end to end, prints its duration' },
  'node dist/dstack-mcp.mjs doctor': { file: 'e2e/commands', title: 'doctor reports a working setup' },
  [`${PROGRAM} setup --list`]: { file: 'unit/setup/setup-command', title: 'lists the clients with their files' },
  [`${PROGRAM} setup cursor --dry-run`]: {
    file: 'unit/setup/setup-command',
    title: 'writes nothing if %s',
  },
  [`${PROGRAM} setup cursor --workspace ~/gpu --confirm person`]: {
    file: 'unit/setup/setup-command',
    title: 'shows the change and asks',
  },
  [`${PROGRAM} setup cursor --sandbox`]: {
    file: 'unit/setup/setup-command',
    title: '--sandbox adds a second entry',
  },
  [`${PROGRAM} setup cursor --undo`]: {
    file: 'unit/setup/setup-command',
    title: 'restores an otherwise unchanged file',
  },
  'npm run lab -- bench': { reason: 'a benchmark: it takes minutes, and asserts nothing' },
  'npm run lab -- equality ~/venvs/dstack-0.20/bin/dstack ~/venvs/dstack-0.22/bin/dstack': {
    reason: 'needs several versions of dstack; warm/equality.test.ts compares the pinned one',
  },
  'npm run lab -- matrix': { reason: 'takes most of an hour; the nightly workflow runs a part of it' },
  'npm run lab -- matrix --cli 0.21 --server 0.22 --tests run-lifecycle,resource-changes': {
    reason: 'installs releases of dstack; test/nightly covers one run with an older release',
  },
  "python3 -m venv /tmp/dstack-0.23 && /tmp/dstack-0.23/bin/pip install 'dstack[server]==0.23.0'": NEW_RELEASE,
  'npm run lab -- equality /tmp/dstack-0.23/bin/dstack': NEW_RELEASE,
  'npm run lab -- record-transcripts --all': NEW_RELEASE,
  'npm run lab -- corpus': NEW_RELEASE,
  'npm run lab -- protocol': NEW_RELEASE,
  'npm run test:nightly': { reason: 'takes about an hour; the nightly workflow runs it' },
  'npx vitest run --project unit test/unit/render/mask-secrets.test.ts': ONE_TEST,
  "npx vitest run --project e2e test/e2e/consent.test.ts -t 'a token'": ONE_TEST,
  'DSTACK_TEST_FAULT_SEED=7 DSTACK_TEST_FAULT_CASES=1 npx vitest run --project nightly test/nightly/faults/random-faults.test.ts':
    ONE_TEST,
  'npm run dev': ONE_TEST,
  'npm run ui': { reason: 'waits for a person with a browser; test/ui uses the same page in Chromium' },
};

test('every command on a page is covered by a test, or says why not', async () => {
  const pages = await Promise.all((await listPages()).map(read));
  const shown = pages.flatMap((text) =>
    [...text.matchAll(/^```(?:sh|bash|shell|console)\n([^]*?)^```/gm)].flatMap(([, block = '']) =>
      block.trim().split('\n'),
    ),
  );
  expect([...new Set(shown)].toSorted()).toEqual(Object.keys(COMMANDS).toSorted());
  const untested: string[] = [];
  for (const [command, by] of Object.entries(COMMANDS)) {
    if ('file' in by && !(await read(`test/${by.file}.test.ts`)).includes(by.title)) untested.push(command);
    const [, words] = / setup (.+)$/.exec(command) ?? [];
    // Throws if the command line is invalid.
    if (words !== undefined) readCommandLine(['setup', ...words.split(' ')]);
  }
  expect(untested).toEqual([]);
});

test('the page about versions names every command of dstack that has no tool, and no other one', async () => {
  const catalog = recordedCatalog('0.22.5');
  const leaves = await Promise.all(
    (await catalog.commands()).map(async ({ name }) => {
      const { subcommands } = (await catalog.page(name)).help;
      return subcommands.length === 0 ? [name] : subcommands.map((sub) => `${name} ${sub.name}`);
    }),
  );
  const untooled = leaves.flat().filter((command) => !RUNNABLE_COMMANDS.includes(command));
  const page = await read('docs/versions.md');
  const section = /## Commands without a tool\n([^]*?)\n## /.exec(page)?.[1] ?? '';
  const lists = [...section.matchAll(/^- (.*?):/gm)].map(([, list = '']) => list).join(', ');
  const named = [...lists.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  expect(new Set(named)).toEqual(new Set(untooled));
});

test('the install links use the package name of package.json', async () => {
  const project = await readProject(root);
  const entry = { command: 'npx', args: ['-y', project.name] };
  const [own, web] = [installLinks(project), webLinks(project)];
  for (const link of [own.cursor, web.cursor]) {
    const { searchParams } = new URL(link);
    expect(searchParams.get('name')).toBe('dstack');
    expect(JSON.parse(atob(searchParams.get('config') ?? ''))).toEqual(entry);
  }
  expect(JSON.parse(decodeURIComponent(own.vscode.replace('vscode:mcp/install?', '')))).toEqual({
    name: 'dstack',
    ...entry,
  });
  expect(JSON.parse(new URL(web.vscode).searchParams.get('config') ?? '')).toEqual(entry);
  expect(new URL(own.goose).searchParams.getAll('arg')).toEqual(entry.args);
  const page = await read('docs/clients.md');
  for (const link of [...Object.values(own), ...(IS_PUBLISHED ? Object.values(web) : [])]) expect(page).toContain(link);
  for (const { id } of CLIENTS) expect(page).toContain(`\`${id}\``);
});

test('the README has its sections in the agreed order', async () => {
  const headings = [...(await read('README.md')).matchAll(/^## (.+)$/gm)].map(([, title]) => title);
  expect(headings).toEqual([
    'Install',
    'First prompt',
    'Try it without a GPU',
    'Safety',
    'Tools',
    'Settings',
    'Troubleshooting',
    'Limitations',
    'Links',
  ]);
});

test('the layout lists every folder of the repository, and only existing ones', async () => {
  const listed = new Set(layoutFolders().map((folder) => folder.split('/')[0]));
  const entries = await readdir(root, { withFileTypes: true });
  const ignored = (await read('.gitignore')).split('\n');
  const folders = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !ignored.includes(`${entry.name}/`))
    .map(({ name }) => name);
  expect(folders.filter((name) => !listed.has(name))).toEqual([]);
  expect(layoutFolders().filter((folder) => !existsSync(path.join(root, folder)))).toEqual([]);
});

test('every experiment has a script or a command', () => {
  const missing = EXPERIMENTS.filter(
    ({ name, command }) => command === undefined && !existsSync(path.join(root, 'scripts/lab', `${name}.ts`)),
  );
  expect(missing).toEqual([]);
});

test('Markdown has one sentence per line', async () => {
  const pages = [...(await listPages()), 'skills/dstack/SKILL.md'].filter((page) => page !== 'docs/tools.md');
  const wrong = await Promise.all(
    pages.map(async (page) => findWrongBreaks(await read(page)).map((line) => `${page}: ${line}`)),
  );
  expect(wrong.flat()).toEqual([]);
});

/** Returns lines of prose with a second sentence, or that start in the middle of a sentence. */
function findWrongBreaks(text: string): string[] {
  const lines = text
    .replace(/^---\n[^]*?\n---\n/, '')
    .replaceAll(/^`{3,}[^]*?^`{3,}$/gm, '')
    .split('\n');
  return lines.filter((line, index) => {
    if (/^\s*(?:\||#|<|!|\[!|>)/.test(line)) return false;
    const prose = line.replaceAll(/`[^`]*`/g, 'code').replaceAll(/\[[^\]]*\]\([^)]*\)/g, 'link');
    const before = lines[index - 1]?.trim() ?? '';
    const isNewBlock = /^\s*(?:[-*]|\d+\.) /.test(line) || /^(?:$|[|#<!])/.test(before);
    const isContinued = line.trim() !== '' && !isNewBlock && !/[.:?!][)"”*_]*$/.test(before);
    return /[a-z)][.?!] +[A-Z]/.test(prose) || isContinued;
  });
}

function headingsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Returns the paths of all pages. */
async function listPages(): Promise<readonly string[]> {
  const isPage = (name: string): boolean => name.endsWith('.md');
  const [top, docs] = await Promise.all([readdir(root), readdir(path.join(root, 'docs'), { recursive: true })]);
  const nested = docs.filter(isPage).map((name) => `docs/${name.replaceAll(path.sep, '/')}`);
  return [...top.filter(isPage), ...nested, 'scripts/lab/README.md', '.github/pull_request_template.md'];
}

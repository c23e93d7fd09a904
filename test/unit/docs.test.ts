import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { renderGeneratedFiles } from '../../scripts/docs/generated-files.ts';
import { readProject } from '../../scripts/docs/project.ts';
import { installLinks, webLinks } from '../../scripts/docs/render-clients.ts';
import { readCommandLine } from '../../src/bin/command-line.ts';
import { CLIENTS } from '../../src/setup/clients.ts';
import { describeSettings } from '../../src/settings/settings.ts';
import { tools } from '../../tools/index.ts';
import { repositoryRoot } from '../support/paths.ts';

const root = repositoryRoot;
const read = (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');

test.each(await renderGeneratedFiles(root))('$file is in step with the code', async ({ file, text }) => {
  expect(await read(file), `${file} isn't what the code says: npm run generate`).toBe(text);
});

test('every tool and every setting is in the README, and every tool has a section on the tools page', async () => {
  const [readme, page] = await Promise.all([read('README.md'), read('docs/tools.md')]);
  for (const { name } of tools) {
    expect(readme).toContain(`[\`${name}\`](docs/tools.md#${name})`);
    expect(page).toContain(`\n## ${name}\n`);
  }
  for (const { option, env } of describeSettings()) {
    expect(readme).toContain(`\`${option}\``);
    expect(readme).toContain(`\`${env}\``);
  }
});

test('the manifest hands over settings that there are, from fields that it asks for', async () => {
  const manifest = z
    .object({
      server: z.object({ mcp_config: z.object({ env: z.record(z.string(), z.string()) }) }),
      user_config: z.record(z.string(), z.unknown()),
    })
    .parse(JSON.parse(await read('manifest.json')));
  const { env } = manifest.server.mcp_config;
  const known = new Set(describeSettings().map((setting) => setting.env));
  expect(Object.keys(env).filter((name) => !known.has(name))).toEqual([]);
  const asked = Object.values(env).map((value) => /^\$\{user_config\.(\w+)\}$/.exec(value)?.[1] ?? value);
  expect(new Set(asked)).toEqual(new Set(Object.keys(manifest.user_config)));
});

test('every link from one page to another leads to something that is there, and to a heading of it', async () => {
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

test('every npm command that a page names is there', async () => {
  const scripts = Object.keys(
    z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await read('package.json'))).scripts,
  );
  const pages = await Promise.all([...(await listPages()), '.ci/run', '.github/workflows/ci.yml'].map(read));
  const named = pages.flatMap((page) => [...page.matchAll(/\bnpm run (?:-s )?([\w:-]+)/g)].map(([, name]) => name));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => name === undefined || !scripts.includes(name))).toEqual([]);
});

/** The test that runs a command of the documentation, by its file and title; or why none does. */
type RunBy = { readonly file: string; readonly title: string } | { readonly reason: string };

const COMMANDS: Readonly<Record<string, RunBy>> = {
  'npm test': { reason: 'this is part of it; every other way of testing starts with the same set-up' },
  'npm run demo': { file: 'e2e/commands', title: 'the demo shows a whole round, says how long it took' },
  'npm ci && npm run build': { reason: 'what the set-up of every test does' },
  'node dist/dstack-mcp.mjs setup claude-desktop': {
    file: 'unit/setup/setup-command',
    title: '$id: creates a missing file',
  },
  'node dist/dstack-mcp.mjs doctor': { file: 'e2e/commands', title: 'doctor finds everything in order' },
  'npx -y dstack-mcp setup --list': { file: 'unit/setup/setup-command', title: 'lists the clients with their files' },
  'npx -y dstack-mcp setup cursor --dry-run': {
    file: 'unit/setup/setup-command',
    title: 'writes nothing if %s',
  },
  'npx -y dstack-mcp setup cursor --workspace ~/gpu --confirm person': {
    file: 'unit/setup/setup-command',
    title: 'shows the change and asks',
  },
  'npx -y dstack-mcp setup cursor --undo': {
    file: 'unit/setup/setup-command',
    title: 'restores an otherwise unchanged file',
  },
  'npm run bench': { reason: 'a benchmark: it takes minutes, and asserts nothing' },
  'npm run bench -- --rounds 30 --json result.json': { reason: 'the same with more rounds' },
  'npm run equality -- ~/venvs/dstack-0.20/bin/dstack ~/venvs/dstack-0.22/bin/dstack': {
    reason: 'needs several versions of dstack; test/cli/warm-equality.test.ts does the same with the one that is there',
  },
  'npm run matrix': { reason: 'takes more than an hour; CI runs a part of it' },
  'npm run matrix -- --cli 0.21 --server 0.22 --tests round,actions': {
    reason: 'needs releases of dstack that are installed by it; test/versions does the same with one run',
  },
  'npm run ui': { reason: 'waits for a person with a browser; test/ui shows the same page in Chromium' },
};

test('every command that a page shows is run by a test, or says why not', async () => {
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
    // Throws where the command line doesn't know what the page says.
    if (words !== undefined) readCommandLine(['setup', ...words.split(' ')]);
  }
  expect(untested).toEqual([]);
});

test('the links for clients enter this package, by the name that package.json gives it', async () => {
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
  for (const link of [...Object.values(own), ...Object.values(web)]) expect(page).toContain(link);
  for (const { id } of CLIENTS) expect(page).toContain(`\`${id}\``);
});

function headingsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The pages of the documentation, from the root. */
async function listPages(): Promise<readonly string[]> {
  const isPage = (name: string): boolean => name.endsWith('.md');
  const [top, docs] = await Promise.all([readdir(root), readdir(path.join(root, 'docs'))]);
  return [...top.filter(isPage), ...docs.filter(isPage).map((name) => `docs/${name}`)];
}

import { execa } from 'execa';
import { mkdtempSync } from 'node:fs';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { publint } from 'publint';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { readProject } from '../../scripts/docs/project.ts';
import { VERSION } from '../../src/settings/installation.ts';
import { tools } from '../../tools/index.ts';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { installPacked } from '../support/packed-package.ts';
import type { PackedPackage } from '../support/packed-package.ts';
import { repositoryRoot } from '../support/paths.ts';

const root = repositoryRoot;

const folder = mkdtempSync(path.join(tmpdir(), 'dstack-mcp-package-'));
let tarball: string;
let files: readonly string[];
let bare: PackedPackage['bare'];

beforeAll(async () => {
  ({ tarball, files, bare } = await installPacked(folder));
});
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

test('the package contains the bundles, their files and the pages, and nothing else', () => {
  const bundles = ['server.cjs', 'engine.cjs', 'sandbox.cjs', 'setup.cjs', 'traces.cjs', 'archive.cjs'];
  const others = ['dstack-mcp.mjs', 'card.html', 'worker/preload.py', 'licenses.txt', 'sbom.cdx.json'];
  for (const file of [...bundles, ...others]) expect(files).toContain(`dist/${file}`);
  expect(files).toContain('dist/skills/dstack/SKILL.md');
  const allowed = /^(?:dist\/(?!\.)|docs\/|(?:README|CHANGELOG|SECURITY)\.md$|LICENSE$|package\.json$)/;
  expect(files.filter((file) => !allowed.test(file) || file.includes('__pycache__'))).toEqual([]);
});

test('publint reports nothing', async () => {
  const { buffer } = new Uint8Array(await readFile(tarball));
  const { messages } = await publint({ strict: true, pack: { tarball: buffer } });
  expect(messages).toEqual([]);
});

test('the command plans a run, installed in an empty folder without network or other packages', async () => {
  const modules = path.join(folder, 'empty', 'node_modules');
  expect((await readdir(modules)).filter((name) => !name.startsWith('.'))).toEqual(['dstack-mcp']);
  const home = await createTestHome();
  const client = await connect({ server: path.join(modules, '.bin', 'dstack-mcp'), env: home.env });
  // Without cards, `decide` isn't listed.
  expect(await client.listTools()).toHaveLength(tools.length - 1);
  const name = uniqueName('package');
  await home.write(`${name}.dstack.yml`, task(name));
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create', token: expect.any(String) });
});

test('npx runs it from the tarball, in an empty folder', async () => {
  const cwd = path.join(folder, 'nothing');
  await mkdir(cwd);
  const run = await execa('npx', ['--yes', '--package', tarball, 'dstack-mcp', '--version'], {
    cwd,
    env: bare,
    extendEnv: false,
  });
  expect(run.stdout).toBe(VERSION);
});
test('the entry in the MCP registry matches the package: name, version, description', async () => {
  const project = await readProject(root);
  const entry = z
    .looseObject({
      name: z.string(),
      version: z.string(),
      description: z.string().max(100),
      repository: z.object({ url: z.string() }).loose(),
      packages: z.tuple([z.looseObject({ identifier: z.string(), version: z.string() })]),
    })
    .parse(JSON.parse(await readFile(path.join(root, 'server.json'), 'utf8')));
  expect(entry).toMatchObject({ name: project.mcpName, version: VERSION, repository: { url: project.repository } });
  expect(entry.packages).toMatchObject([{ identifier: project.name, version: VERSION }]);
  // A publisher may use names that start with the repository's owner.
  const owner = /^https:\/\/github\.com\/([^/]+)\/[^/]+$/.exec(project.repository)?.[1];
  expect(project.mcpName).toBe(`io.github.${owner}/${project.name}`);
});

test('the licenses and the bill of materials list every bundled package', async () => {
  const dist = path.join(folder, 'empty', 'node_modules', 'dstack-mcp', 'dist');
  const licenses = await readFile(path.join(dist, 'licenses.txt'), 'utf8');
  const bill = z
    .looseObject({
      bomFormat: z.literal('CycloneDX'),
      components: z.array(z.looseObject({ name: z.string(), version: z.string() })),
    })
    .parse(JSON.parse(await readFile(path.join(dist, 'sbom.cdx.json'), 'utf8')));
  const listed = [...licenses.matchAll(/^ {2}(\S+ \S+) \(.+\)$/gm)].map(([, one]) => String(one));
  expect(listed).toContain('zod 4.6.7');
  expect(bill.components.map(({ name, version }) => `${name} ${version}`).toSorted()).toEqual(listed.toSorted());
});

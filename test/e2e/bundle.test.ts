import { unpackExtension, validateManifest } from '@anthropic-ai/mcpb';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { bundle } from '../../scripts/bundle.mjs';
import { tools } from '../../tools/index.ts';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';

const manifestSchema = z.looseObject({
  server: z.looseObject({
    mcp_config: z.looseObject({ args: z.array(z.string()), env: z.record(z.string(), z.string()) }),
  }),
  user_config: z.record(z.string(), z.looseObject({ default: z.unknown().optional() })),
});

let parent: string;
let file: string;
/** The unpacked bundle. */
let folder: string;

beforeAll(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-bundle-'));
  file = await bundle(parent);
  folder = path.join(parent, 'unpacked');
  const isUnpacked = await unpackExtension({ mcpbPath: file, outputDir: folder, silent: true });
  if (!isUnpacked) throw new Error(`${file} can't be unpacked`);
});
afterAll(() => rm(parent, { recursive: true, force: true }));

/** Expands the manifest as Claude Desktop does: its folder and the user's settings replace the placeholders. */
function fillIn(text: string, folder: string, settings: Readonly<Record<string, string>>): string {
  return text
    .replace('${__dirname}', folder)
    .replace(/\$\{user_config\.(\w+)\}/, (placeholder, name: string) => settings[name] ?? placeholder);
}

test('the bundle is small, contains no packages, and has a valid manifest', async () => {
  expect((await stat(file)).size).toBeLessThan(5_000_000);
  expect((await readdir(folder)).toSorted()).toEqual(['LICENSE', 'README.md', 'dist', 'docs', 'manifest.json']);
  const dist = await readdir(path.join(folder, 'dist'));
  expect(dist).toEqual(
    expect.arrayContaining([
      'archive.cjs',
      'card.html',
      'dstack-mcp.mjs',
      'engine.cjs',
      'licenses.txt',
      'skills',
      'server.cjs',
      'traces.cjs',
      'worker',
    ]),
  );
  expect(dist.filter((name) => ['sandbox.cjs', 'setup.cjs', '.stamp'].includes(name))).toEqual([]);
  expect(validateManifest(path.join(folder, 'manifest.json'))).toBe(true);
});

test('the manifest has support and privacy links, an icon, and the main settings', async () => {
  const manifest = z
    .looseObject({
      long_description: z.string().min(200),
      documentation: z.url(),
      support: z.url(),
      privacy_policies: z.array(z.url()).min(1),
      icon: z.string(),
      icons: z.array(z.object({ src: z.string(), size: z.literal('512x512') })),
      user_config: z.record(z.string(), z.unknown()),
      tools: z.array(z.looseObject({ name: z.string() })),
      prompts: z.array(z.looseObject({ name: z.string() })),
    })
    .parse(JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')));
  for (const { src } of [{ src: manifest.icon }, ...manifest.icons])
    expect(readPngSize(await readFile(path.join(folder, src)))).toEqual({ width: 512, height: 512 });
  expect(Object.keys(manifest.user_config)).toEqual(
    expect.arrayContaining(['cli', 'project', 'workspace', 'confirm', 'max_price', 'read_only', 'policy']),
  );
  expect(manifest.tools.length).toBeGreaterThan(10);
  expect(manifest.prompts.length).toBeGreaterThan(3);
});

test('the unpacked bundle plans a run when its manifest starts it with an empty environment', async () => {
  const manifest = manifestSchema.parse(JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')));
  const home = await createTestHome();
  const settings = { cli: home.env['DSTACK_MCP_CLI'] ?? '', workspace: home.workspace, project: '', confirm: 'false' };
  const { args, env } = manifest.server.mcp_config;
  const [server = '', ...rest] = args.map((arg) => fillIn(arg, folder, settings));
  const client = await connect({
    server,
    args: rest,
    env: {
      HOME: home.home,
      PATH: '/usr/bin:/bin',
      // A busy machine may need more time than the default.
      DSTACK_MCP_TIMEOUT: '100',
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fillIn(value, folder, settings)])),
    },
  });
  // Without cards, `decide` isn't listed.
  expect(await client.listTools()).toHaveLength(tools.length - 1);
  const name = uniqueName('bundle');
  await home.write(`${name}.dstack.yml`, task(name));
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect(plan.facts['token']).toEqual(expect.any(String));
});

function readPngSize(file: Buffer): { width: number; height: number } {
  expect(file.subarray(1, 4).toString('latin1')).toBe('PNG');
  return { width: file.readUInt32BE(16), height: file.readUInt32BE(20) };
}

import { unpackExtension, validateManifest } from '@anthropic-ai/mcpb';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
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

async function unpackInEmptyFolder(): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-bundle-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = await bundle(folder);
  const outputDir = path.join(folder, 'unpacked');
  expect(await unpackExtension({ mcpbPath: file, outputDir, silent: true })).toBe(true);
  return { folder: outputDir, file };
}

/** What Claude Desktop makes of the manifest: its own folder and the person's settings in the places of the placeholders. */
function fillIn(text: string, folder: string, settings: Readonly<Record<string, string>>): string {
  return text
    .replace('${__dirname}', folder)
    .replace(/\$\{user_config\.(\w+)\}/, (placeholder, name: string) => settings[name] ?? placeholder);
}

test('the bundle is small, holds no packages, and its manifest is valid', async () => {
  const { folder, file } = await unpackInEmptyFolder();
  expect((await stat(file)).size).toBeLessThan(5_000_000);
  expect((await readdir(folder)).toSorted()).toEqual(['LICENSE', 'README.md', 'dist', 'manifest.json']);
  expect(validateManifest(path.join(folder, 'manifest.json'))).toBe(true);
});

test('the unpacked bundle, started by its manifest with a bare environment, plans a run', async () => {
  const { folder } = await unpackInEmptyFolder();
  const manifest = manifestSchema.parse(JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')));
  const home = await createTestHome();
  const settings = { cli: home.env['DSTACK_MCP_CLI'] ?? '', workspace: home.workspace, project: '', confirm: 'ask' };
  const { args, env } = manifest.server.mcp_config;
  const [server = '', ...rest] = args.map((arg) => fillIn(arg, folder, settings));
  const client = await connect({
    server,
    args: rest,
    env: {
      HOME: home.home,
      PATH: '/usr/bin:/bin',
      ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fillIn(value, folder, settings)])),
    },
  });
  expect(await client.listTools()).toHaveLength(tools.length);
  const name = uniqueName('bundle');
  await home.write(`${name}.dstack.yml`, task(name));
  const plan = await client.call('plan', { file: `${name}.dstack.yml` });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect(plan.facts['token']).toEqual(expect.any(String));
});

import { execa } from 'execa';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { runNpm } from '../../scripts/run-npm.mjs';
import { repositoryRoot } from '../support/paths.ts';

const root = repositoryRoot;
const packed = z.tuple([z.object({ filename: z.string() })]);

let folder: string;
/** An environment with Node but nothing of this project, and without network. */
let bare: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-package-'));
  const home = path.join(folder, 'home');
  await mkdir(home);
  bare = {
    HOME: home,
    PATH: `${path.dirname(process.execPath)}${path.delimiter}/usr/bin${path.delimiter}/bin`,
    TMPDIR: folder,
    npm_config_cache: path.join(folder, 'npm-cache'),
    npm_config_offline: 'true',
  };
  const said = await runNpm(['pack', '--json', '--pack-destination', folder], { cwd: root });
  const [{ filename }] = packed.parse(JSON.parse(said));
  await mkdir(path.join(folder, 'empty'));
  await runNpm(['install', '--no-audit', '--no-fund', path.join(folder, filename)], {
    cwd: path.join(folder, 'empty'),
    env: bare,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
test('the demo of the package runs end to end in an empty folder and an empty home', async () => {
  // Uses the installed dstack; installing it takes a minute and the network.
  const cache = path.join(bare['HOME'] ?? '', '.cache', 'dstack-mcp');
  await mkdir(cache, { recursive: true });
  await symlink(path.resolve(path.dirname(inject('sandbox').cli), '..'), path.join(cache, 'python'));
  const bin = path.join(folder, 'empty', 'node_modules', '.bin', 'dstack-mcp');
  const { stdout, exitCode } = await execa(bin, ['demo'], {
    cwd: path.join(folder, 'empty'),
    env: bare,
    extendEnv: false,
    stdin: 'ignore',
    reject: false,
  });
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain('epoch 3: loss 0.33');
  expect(stdout).toContain('Run train is terminated');
});

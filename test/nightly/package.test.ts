import { execa } from 'execa';
import { mkdtempSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { installPacked } from '../support/packed-package.ts';
import type { PackedPackage } from '../support/packed-package.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'dstack-mcp-package-'));
let bare: PackedPackage['bare'];

beforeAll(async () => {
  ({ bare } = await installPacked(folder));
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

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DSTACK_VERSION, preparePythonEnvironment } from '../../../sandbox/python-environment.ts';
import { SetupError } from '../../../sandbox/setup-error.ts';
import { testOptions } from '../../support/start-test-sandbox.ts';
import { inRepository } from '../../support/paths.ts';

let folder: string;

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), 'python-environment-')), 'python');
  // This package index is unreachable, so every installation fails.
  vi.stubEnv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple');
  vi.stubEnv('PIP_EXTRA_INDEX_URL', '');
  vi.stubEnv('PIP_FIND_LINKS', '');
  vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  vi.stubEnv('PIP_RETRIES', '0');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(path.dirname(folder), { recursive: true, force: true });
});

test('an incomplete installation is removed, and a failed one is reported with a hint and leaves no lock', async () => {
  await mkdir(path.join(folder, 'bin'), { recursive: true });
  await writeFile(path.join(folder, 'bin', 'dstack'), 'half of it');
  const lines: string[] = [];
  const failure = await preparePythonEnvironment({ folder, onProgress: (line) => lines.push(line) }).catch(
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(SetupError);
  expect(failure).toMatchObject({
    message: expect.stringContaining(`dstack ${DSTACK_VERSION} could not be installed`),
    hint: expect.stringContaining('package index'),
  });
  expect(lines[0]).toBe(`installing dstack ${DSTACK_VERSION} into a private environment… 0 s`);
  expect(existsSync(path.join(folder, 'bin', 'dstack'))).toBe(false);
  expect(existsSync(`${folder}.lock`)).toBe(false);
});

test('every package is pinned, and dstack to the version of the sandbox', async () => {
  const constraints = await readFile(inRepository('sandbox', 'server', 'constraints.txt'), 'utf8');
  const lines = constraints.trim().split('\n');
  expect(lines).toContain(`dstack==${DSTACK_VERSION}`);
  expect(lines.filter((line) => !/^[\w.-]+==[\w.]+( ; python_version (>=|<) "3\.11")?$/.test(line))).toEqual([]);
});

test('a complete environment is used as is, without the network', async ({ skip }) => {
  const complete = testOptions.pythonEnvironment;
  skip(
    !existsSync(path.join(complete, 'dstack-sandbox.stamp')),
    'the shared environment was not created by the sandbox',
  );
  const lines: string[] = [];
  await preparePythonEnvironment({ folder: complete, onProgress: (line) => lines.push(line) });
  expect(lines).toEqual([]);
});

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findMissing } from '../../../scripts/find-missing.mjs';

let bin: string;

beforeEach(async () => {
  bin = path.join(await mkdtemp(path.join(tmpdir(), 'find-missing-')), 'bin');
  await mkdir(bin);
});
afterEach(() => rm(path.dirname(bin), { recursive: true, force: true }));

/** Adds a fake Python with the given version to PATH. */
async function addPython(name: string, version: string, options: { hasVenv: boolean }): Promise<void> {
  const file = path.join(bin, name);
  await writeFile(file, `#!/bin/sh\necho ${version}\necho ${options.hasVenv ? 'True' : 'False'}\n`);
  await chmod(file, 0o755);
}

/** Adds programs that do nothing to PATH. */
async function addPrograms(...names: string[]): Promise<void> {
  for (const name of names) {
    await writeFile(path.join(bin, name), '#!/bin/sh\n');
    await chmod(path.join(bin, name), 0o755);
  }
}

const addGitAndSsh = () => addPrograms('git', 'ssh', 'ssh-keygen');

const look = () => findMissing({ env: { PATH: bin } });

test('nothing is missing if a recent Python, git and the OpenSSH client are on PATH, and the newest Python is used', async () => {
  await addGitAndSsh();
  await addPython('python3', '3.11.2', { hasVenv: true });
  await addPython('python3.12', '3.12.4', { hasVenv: true });
  expect(await look()).toEqual({ python: { command: ['python3.12'], version: '3.12.4' }, missing: [] });
});

test('a missing Python is reported with an install hint', async () => {
  await addGitAndSsh();
  const { python, missing } = await look();
  expect(python).toBeUndefined();
  expect(missing.map(({ message }) => message)).toEqual(['dstack needs Python 3.10 or later; none was found on PATH.']);
  expect(missing[0]?.hint).toMatch(/install/i);
});

test('an outdated Python is reported with its version', async () => {
  await addGitAndSsh();
  await addPython('python3', '3.9.18', { hasVenv: true });
  const { missing } = await look();
  expect(missing[0]?.message).toBe('dstack needs Python 3.10 or later; python3 is 3.9.18.');
});

test('a Python without venv is skipped, and reported if there is no other', async () => {
  await addGitAndSsh();
  await addPython('python3.12', '3.12.4', { hasVenv: false });
  const { missing } = await look();
  expect(missing[0]?.message).toBe(
    "python3.12 (3.12.4) can't create a virtual environment: its venv module is missing.",
  );
  await addPython('python3', '3.11.2', { hasVenv: true });
  expect((await look()).python?.command).toEqual(['python3']);
});

test('all missing requirements are reported at once', async () => {
  const { missing } = await look();
  expect(missing.map(({ message }) => message)).toEqual([
    'dstack needs Python 3.10 or later; none was found on PATH.',
    'git is missing: dstack needs it on PATH.',
    'The OpenSSH client is missing: no ssh and ssh-keygen on PATH.',
  ]);
});

test('a missing part of the OpenSSH client is reported', async () => {
  await addPrograms('git', 'ssh');
  const { missing } = await findMissing({ env: { PATH: bin }, python: false });
  expect(missing.map(({ message }) => message)).toEqual(['The OpenSSH client is missing: no ssh-keygen on PATH.']);
});

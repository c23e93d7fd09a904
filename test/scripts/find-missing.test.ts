import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findMissing } from '../../sandbox/find-missing.ts';

let bin: string;

beforeEach(async () => {
  bin = path.join(await mkdtemp(path.join(tmpdir(), 'find-missing-')), 'bin');
  await mkdir(bin);
});
afterEach(() => rm(path.dirname(bin), { recursive: true, force: true }));

/** Puts a Python on PATH that says the given version; the machine may have no real one like it. */
async function addPython(name: string, version: string, options: { hasVenv: boolean }): Promise<void> {
  const file = path.join(bin, name);
  await writeFile(file, `#!/bin/sh\necho ${version}\necho ${options.hasVenv ? 'True' : 'False'}\n`);
  await chmod(file, 0o755);
}

async function addSsh(): Promise<void> {
  await Promise.all(['ssh', 'ssh-keygen'].map((name) => symlink(`/usr/bin/${name}`, path.join(bin, name))));
}

const look = () => findMissing({ env: { PATH: bin } });

test('nothing is missing where a recent Python and the OpenSSH client are on PATH, and the newest Python is taken', async () => {
  await addSsh();
  await addPython('python3', '3.11.2', { hasVenv: true });
  await addPython('python3.12', '3.12.4', { hasVenv: true });
  expect(await look()).toEqual({ python: { command: ['python3.12'], version: '3.12.4', hasVenv: true }, missing: [] });
});

test('without any Python it says so and how to get one', async () => {
  await addSsh();
  const { python, missing } = await look();
  expect(python).toBeUndefined();
  expect(missing.map(({ message }) => message)).toEqual(['dstack needs Python 3.10 or later; none was found on PATH.']);
  expect(missing[0]?.hint).toMatch(/install/i);
});

test('a Python that is too old is named with its version', async () => {
  await addSsh();
  await addPython('python3', '3.9.18', { hasVenv: true });
  const { missing } = await look();
  expect(missing[0]?.message).toBe('dstack needs Python 3.10 or later; python3 is 3.9.18.');
});

test("a Python without venv is passed over for one that has it, and named where there's no other", async () => {
  await addSsh();
  await addPython('python3.12', '3.12.4', { hasVenv: false });
  const { missing } = await look();
  expect(missing[0]?.message).toBe("python3.12 (3.12.4) can't make an environment: its venv module is missing.");
  await addPython('python3', '3.11.2', { hasVenv: true });
  expect((await look()).python?.command).toEqual(['python3']);
});

test('a missing OpenSSH client is told beside everything else that is missing', async () => {
  const { missing } = await look();
  expect(missing).toHaveLength(2);
  expect(missing[1]?.message).toBe('The OpenSSH client is missing: no ssh and ssh-keygen on PATH.');
});

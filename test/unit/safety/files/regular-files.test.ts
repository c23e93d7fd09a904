import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { readRegularFile, replaceFile } from '../../../../src/safety/files/regular-files.ts';
import { createWorkspace } from '../../../../src/safety/files/workspace.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const files = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(files, ...parts);
mkdirSync(at('.dstack'));
writeFileSync(at('file'), 'four');
writeFileSync(at('.dstack', 'profiles.yml'), 'profiles: []\n');
symlinkSync(at('file'), at('link'));
symlinkSync(files, at('up'));

test('a regular file is read whole', async () => {
  expect(await readRegularFile(at('file'), 4)).toEqual({ kind: 'read', bytes: Buffer.from('four') });
});

test.each([
  ['a missing file', 'missing', 100, { kind: 'missing', reason: 'it does not exist' }],
  ['a file below a file', 'file/x', 100, { kind: 'missing', reason: 'it does not exist' }],
  ['a link', 'link', 100, { kind: 'link', reason: 'it is a link' }],
  ['a folder', '.dstack', 100, { kind: 'not-regular', reason: 'it is not a regular file' }],
  ['a larger file', 'file', 3, { kind: 'too-large', reason: 'it is larger than 3 bytes' }],
  ['a file behind a link', 'up/file', 100, { kind: 'moved', reason: 'it was replaced while it was being read' }],
])('%s is not read', async (_what, file, maxBytes, expected) => {
  expect(await readRegularFile(at(file), maxBytes)).toEqual(expected);
});

test('profiles have a hash each, and the texts of those that exist', async () => {
  const workspace = createWorkspace({ folders: [files], home: at('home') });
  const { hashes, texts } = await workspace.readProfiles(files);
  expect(texts).toEqual(['profiles: []\n']);
  expect(Object.values(hashes).map((hash) => (hash === 'absent' ? hash : hash.length))).toEqual([
    64,
    'absent',
    'absent',
    'absent',
  ]);
  expect(await workspace.hashProfiles(files)).toEqual(hashes);
  workspace.use([at('other')]);
  expect(workspace.folders).toEqual([at('other')]);
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'dstack-mcp-replace-')));
  file = path.join(folder, 'web.dstack.yml');
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (): string => readFileSync(file, 'utf8');
const modeOf = (name: string): number => statSync(name).mode & 0o777;
const unchanged = (): Promise<boolean> => Promise.resolve(true);

/** Runs `meanwhile` after the temporary file is written, before it replaces the file. */
const after = (meanwhile: () => void) => (): Promise<boolean> => {
  meanwhile();
  return Promise.resolve(true);
};

async function refusalOf(promise: Promise<void>): Promise<ToolError> {
  const error = await promise.then(
    () => new Error('it was written'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

test('a read-only file is refused, and stays unchanged', async () => {
  writeFileSync(file, 'type: task\n');
  chmodSync(file, 0o444);
  expect(await refusalOf(replaceFile(file, 'new', { exists: true, isUnchanged: unchanged }))).toMatchObject({
    code: 'invalid-file',
    message: `${file} is read-only. Nothing was changed.`,
  });
  expect(read()).toBe('type: task\n');
  expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
});

describe('a new file', () => {
  test('is complete and readable for others, without a temporary file left', async () => {
    await replaceFile(file, 'type: task\n', { exists: false, isUnchanged: unchanged });
    expect(read()).toBe('type: task\n');
    expect(modeOf(file) & ~0o022).toBe(0o644);
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('never replaces a file that was created in the meantime', async () => {
    const write = replaceFile(file, 'mine', { exists: false, isUnchanged: after(() => writeFileSync(file, 'theirs')) });
    expect(await refusalOf(write)).toMatchObject({
      code: 'plan-changed',
      message: `${file} was changed by somebody else in the meantime. Nothing was written.`,
      hint: 'Read it again: config with action "read" returns its new hash. Then repeat the change with that.',
    });
    expect(read()).toBe('theirs');
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('in a missing folder is refused', async () => {
    const write = replaceFile(path.join(folder, 'no/web.dstack.yml'), '', { exists: false, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({
      code: 'file-not-found',
      message: `${folder}/no/web.dstack.yml can't be written (ENOENT). Nothing was changed.`,
      hint: 'Check that the folder exists and is writable.',
      cause: { code: 'ENOENT' },
    });
  });

  test('in a path that is not a folder is refused', async () => {
    writeFileSync(file, 'a file');
    const write = replaceFile(path.join(file, 'web.dstack.yml'), '', { exists: false, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining("can't be written (ENOTDIR). Nothing was changed."),
    });
  });
});

describe('an existing file', () => {
  beforeEach(() => writeFileSync(file, 'old'));

  test('is replaced completely and keeps its mode, without a temporary file left', async () => {
    chmodSync(file, 0o640);
    const before = statSync(file).ino;
    let during: readonly string[] = [];
    const isUnchanged = after(() => {
      during = readdirSync(folder);
      expect(read()).toBe('old');
    });
    await replaceFile(file, 'new', { exists: true, isUnchanged });
    expect(read()).toBe('new');
    expect(modeOf(file)).toBe(0o640);
    expect(statSync(file).ino).not.toBe(before);
    expect(during).toEqual([expect.stringMatching(/^\.web\.dstack\.yml\.[0-9a-f]{12}\.tmp$/), 'web.dstack.yml']);
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('stays unchanged if it is not the expected version', async () => {
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: () => Promise.resolve(false) });
    expect(await refusalOf(write)).toMatchObject({ code: 'plan-changed' });
    expect(read()).toBe('old');
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('that was removed is refused', async () => {
    rmSync(file);
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({ code: 'file-not-found' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('is not written through a folder that was replaced by a link', async () => {
    const original = path.join(folder, 'sub');
    const elsewhere = path.join(folder, 'elsewhere');
    for (const each of [original, elsewhere]) mkdirSync(each);
    for (const each of [original, elsewhere]) writeFileSync(path.join(each, 'web.dstack.yml'), 'old');
    const isUnchanged = (): Promise<boolean> => Promise.reject(new Error('this must not be reached'));
    renameSync(original, path.join(folder, 'away'));
    symlinkSync(elsewhere, original);
    const write = replaceFile(path.join(original, 'web.dstack.yml'), 'new', { exists: true, isUnchanged });
    expect(await refusalOf(write)).toMatchObject({ code: 'plan-changed' });
    expect(readFileSync(path.join(elsewhere, 'web.dstack.yml'), 'utf8')).toBe('old');
    expect(readdirSync(elsewhere)).toEqual(['web.dstack.yml']);
    expect(existsSync(path.join(folder, 'away', 'web.dstack.yml'))).toBe(true);
  });

  test('stays unchanged after another error, which is rethrown', async () => {
    const failure = new ToolError('busy', 'It is locked.', 'Wait.');
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: () => Promise.reject(failure) });
    expect(await refusalOf(write)).toBe(failure);
    expect(read()).toBe('old');
  });
});

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
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
import { replaceFile } from '../../../../src/safety/files/replace-file.ts';

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

/** Does `meanwhile` when everything is written but not in its place yet. */
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

describe('a new file', () => {
  test('is there as a whole, for others to read, and nothing beside it', async () => {
    await replaceFile(file, 'type: task\n', { exists: false, isUnchanged: unchanged });
    expect(read()).toBe('type: task\n');
    expect(modeOf(file) & ~0o022).toBe(0o644);
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('never takes the place of one that came meanwhile', async () => {
    const write = replaceFile(file, 'mine', { exists: false, isUnchanged: after(() => writeFileSync(file, 'theirs')) });
    expect(await refusalOf(write)).toMatchObject({
      code: 'plan-changed',
      message: `${file} was changed by somebody else meanwhile. Nothing was written.`,
      hint: 'Read it again with config (action validate), and repeat the change with its new hash.',
    });
    expect(read()).toBe('theirs');
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('in a folder that is not there is refused', async () => {
    const write = replaceFile(path.join(folder, 'no/web.dstack.yml'), '', { exists: false, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({
      code: 'file-not-found',
      message: `${folder}/no/web.dstack.yml can't be written (ENOENT). Nothing was changed.`,
      hint: 'The folder must exist and allow it.',
      cause: { code: 'ENOENT' },
    });
  });

  test('in what is no folder is refused', async () => {
    writeFileSync(file, 'a file');
    const write = replaceFile(path.join(file, 'web.dstack.yml'), '', { exists: false, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining("can't be written (ENOTDIR). Nothing was changed."),
    });
  });
});

describe('a file that is there', () => {
  beforeEach(() => writeFileSync(file, 'old'));

  test('is replaced as a whole, keeps its mode, and nothing is left beside it', async () => {
    chmodSync(file, 0o640);
    const before = statSync(file).ino;
    let beside: readonly string[] = [];
    const isUnchanged = after(() => {
      beside = readdirSync(folder);
      expect(read()).toBe('old');
    });
    await replaceFile(file, 'new', { exists: true, isUnchanged });
    expect(read()).toBe('new');
    expect(modeOf(file)).toBe(0o640);
    expect(statSync(file).ino).not.toBe(before);
    expect(beside).toEqual([expect.stringMatching(/^\.web\.dstack\.yml\.[0-9a-f]{12}\.tmp$/), 'web.dstack.yml']);
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('stays as it is when it is no longer as it was', async () => {
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: () => Promise.resolve(false) });
    expect(await refusalOf(write)).toMatchObject({ code: 'plan-changed' });
    expect(read()).toBe('old');
    expect(readdirSync(folder)).toEqual(['web.dstack.yml']);
  });

  test('that has gone is refused', async () => {
    rmSync(file);
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: unchanged });
    expect(await refusalOf(write)).toMatchObject({ code: 'file-not-found' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('is not written to where its folder was swapped for a link', async () => {
    const place = path.join(folder, 'sub');
    const elsewhere = path.join(folder, 'elsewhere');
    for (const each of [place, elsewhere]) mkdirSync(each);
    for (const each of [place, elsewhere]) writeFileSync(path.join(each, 'web.dstack.yml'), 'old');
    const isUnchanged = (): Promise<boolean> => Promise.reject(new Error('it must not come to this'));
    renameSync(place, path.join(folder, 'away'));
    symlinkSync(elsewhere, place);
    const write = replaceFile(path.join(place, 'web.dstack.yml'), 'new', { exists: true, isUnchanged });
    expect(await refusalOf(write)).toMatchObject({ code: 'plan-changed' });
    expect(readFileSync(path.join(elsewhere, 'web.dstack.yml'), 'utf8')).toBe('old');
    expect(readdirSync(elsewhere)).toEqual(['web.dstack.yml']);
    expect(existsSync(path.join(folder, 'away', 'web.dstack.yml'))).toBe(true);
  });

  test('stays as it is when something else fails, and the failure is passed on', async () => {
    const failure = new ToolError('busy', 'It is held.', 'Wait.');
    const write = replaceFile(file, 'new', { exists: true, isUnchanged: () => Promise.reject(failure) });
    expect(await refusalOf(write)).toBe(failure);
    expect(read()).toBe('old');
  });
});

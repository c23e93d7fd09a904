import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CopyState } from '../../../src/remote/copy-tree.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import { folderWithout } from '../../support/local-shell.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { readFiles, setUpCopy, writeFiles } from '../../support/set-up-copy.ts';

/** ssh itself reads and writes the larger one. */
const SIZES = [1_500_000, 40_000_000];
const checkOf = (size: number): string => (size === SIZES[1] ? 'size' : 'sha256');

describe('a file', () => {
  test.each(SIZES)('of %i bytes is downloaded, byte for byte, with its time and without its mode', async (size) => {
    const { here, run, download } = setUpCopy();
    const bytes = randomBytes(size);
    writeFileSync(path.join(run, 'model.bin'), bytes, { mode: 0o777 });
    utimesSync(path.join(run, 'model.bin'), 1_700_000_000, 1_700_000_000);
    expect(await download('model.bin', 'out.bin')).toMatchObject({
      remote: path.join(run, 'model.bin'),
      local: path.join(here, 'out.bin'),
      files: 1,
      bytes: bytes.length,
      same: 0,
      checkedBy: checkOf(size),
    });
    expect(readFileSync(path.join(here, 'out.bin')).equals(bytes)).toBe(true);
    const { mode, mtimeMs } = statSync(path.join(here, 'out.bin'));
    expect([mode & 0o111, mtimeMs]).toEqual([0, 1_700_000_000_000]);
  });

  test.each(SIZES)('of %i bytes is uploaded, byte for byte, with its time and its executable bit', async (size) => {
    const { here, run, upload } = setUpCopy();
    const bytes = randomBytes(size);
    writeFileSync(path.join(here, 'tool'), bytes);
    chmodSync(path.join(here, 'tool'), 0o700);
    utimesSync(path.join(here, 'tool'), 1_700_000_000, 1_700_000_000);
    expect(await upload('tool', 'bin/tool')).toMatchObject({ files: 1, bytes: size, checkedBy: checkOf(size) });
    expect(readFileSync(path.join(run, 'bin/tool')).equals(bytes)).toBe(true);
    const { mode, mtimeMs } = statSync(path.join(run, 'bin/tool'));
    expect([mode & 0o777, mtimeMs]).toEqual([0o755, 1_700_000_000_000]);
    expect(readFiles(run)).toHaveProperty(['bin/tool']);
    expect(Object.keys(readFiles(run))).toEqual(['bin', 'bin/tool']);
  });

  test.each([0, 1, 511, 512, 513, 65_536, 65_537, 300_000])('of %i bytes is unchanged there and back', async (size) => {
    const { here, run, upload, download } = setUpCopy();
    const bytes = randomBytes(size);
    writeFileSync(path.join(here, 'a'), bytes);
    await upload('a', 'b');
    expect(readFileSync(path.join(run, 'b')).equals(bytes)).toBe(true);
    await download('b', 'c');
    expect(readFileSync(path.join(here, 'c')).equals(bytes)).toBe(true);
  });

  test('goes into a folder that exists, or whose path ends with a separator', async () => {
    const { here, run, upload, download } = setUpCopy();
    writeFiles(here, { 'a.py': '1', 'in/x': '' });
    writeFiles(run, { 'b.png': '2', 'src/x': '' });
    await upload('a.py', 'src');
    await upload('a.py', 'new/');
    await download('b.png', 'in');
    await download('b.png', 'made/');
    expect(readFiles(run)).toMatchObject({ 'src/a.py': '1', 'new/a.py': '1' });
    expect(readFiles(here)).toMatchObject({ 'in/b.png': '2', 'made/b.png': '2' });
  });

  test('is found through a link in the run, and has the name that was asked for', async () => {
    const { here, run, download } = setUpCopy();
    writeFiles(run, { 'blobs/1f': 'weights' });
    symlinkSync('blobs/1f', path.join(run, 'model.bin'));
    expect(await download('model.bin', './')).toMatchObject({ remote: path.join(run, 'blobs/1f') });
    expect(readFiles(here)).toEqual({ 'model.bin': 'weights' });
  });
});

describe('a folder', () => {
  const TREE = {
    'a.txt': 'a',
    'empty.txt': '',
    'sub/größe 1.txt': 'b',
    [`deep/${'x'.repeat(120)}/${'ü'.repeat(100)}/c.bin`]: Buffer.from([0, 255, 10, 13]),
    "sub/it's $(touch x) -n *.txt": 'd',
    '-rf': 'e',
  };

  test.each([['sh'], ['bash']] as const)('is copied there and back with %s', async (shell) => {
    const { here, run, upload, download } = setUpCopy({ shell: [shell] });
    writeFiles(path.join(here, 'src'), TREE);
    mkdirSync(path.join(here, 'src/hollow'));
    expect(await upload('src', 'work')).toMatchObject({ files: 6, same: 0 });
    expect(readFiles(path.join(run, 'work'))).toEqual(readFiles(path.join(here, 'src')));
    expect(await download('work', 'back')).toMatchObject({ files: 6, same: 0 });
    expect(readFiles(path.join(here, 'back'))).toEqual(readFiles(path.join(here, 'src')));
    expect(Object.keys(readFiles(here)).filter((name) => !/^(?:src|back)/.test(name))).toEqual([]);
    expect(Object.keys(readFiles(run)).filter((name) => !name.startsWith('work'))).toEqual([]);
  });

  test('with large files is copied there and back, and reports each byte of it once', async () => {
    const states: CopyState[] = [];
    const { here, run, upload, download } = setUpCopy({ onProgress: (state) => void states.push(state) });
    const large = { 'src/one.bin': randomBytes(40_000_000), 'src/sub/two.bin': randomBytes(35_000_000) };
    writeFiles(here, { ...large, 'src/a': '1', 'src/sub/b': '2' });
    const ofBytes = 75_000_002;
    for (const copy of [() => upload('src', 'work'), () => download('work', 'back')]) {
      states.length = 0;
      expect(await copy()).toMatchObject({ files: 4, bytes: ofBytes, checkedBy: 'size' });
      expect(states.at(-1)).toEqual({ bytes: ofBytes, ofBytes });
      expect(states.map(({ bytes }) => bytes)).toEqual(states.map(({ bytes }) => bytes).toSorted((a, b) => a - b));
    }
    expect(readFiles(path.join(run, 'work'))).toEqual(readFiles(path.join(here, 'src')));
    expect(readFiles(path.join(here, 'back'))).toEqual(readFiles(path.join(here, 'src')));
  });

  test('keeps what is in its place, and files that are the same are skipped', async () => {
    const { here, run, upload, download } = setUpCopy();
    writeFiles(here, { 'src/a': '1', 'src/sub/b': '2' });
    writeFiles(run, { 'work/other': '0', 'work/sub/more': '0' });
    expect(await upload('src', 'work')).toMatchObject({ files: 2, same: 0 });
    expect(await upload('src', 'work')).toMatchObject({ files: 0, same: 2, bytes: 0 });
    writeFiles(here, { 'src/sub/c': '3' });
    expect(await upload('src', 'work')).toMatchObject({ files: 1, same: 2, bytes: 1 });
    expect(await download('work', 'src')).toMatchObject({ files: 2, same: 3 });
    expect(readFiles(path.join(here, 'src'))).toEqual(readFiles(path.join(run, 'work')));
  });

  test('leaves out links, special files and hidden files of the run, and says so', async () => {
    const { here, run, download } = setUpCopy();
    writeFiles(run, { 'out/a': '1', 'out/.git/hooks/pre-commit': 'x', 'out/sub/.envrc': 'x', 'out/AGENTS.md': 'x' });
    symlinkSync('/etc/passwd', path.join(run, 'out/link'));
    const { leftOut } = await download('out', 'in');
    expect(readFiles(here)).toEqual({ in: 'folder', 'in/a': '1', 'in/sub': 'folder' });
    expect(leftOut.map(({ name }) => name).sort()).toEqual(['.git', 'AGENTS.md', 'link', 'sub/.envrc']);
  });

  test('leaves out links, env files and Git of the workspace, and says so', async () => {
    const { here, run, upload } = setUpCopy();
    writeFiles(here, { 'src/a': '1', 'src/.git/config': 'x', 'src/.env': 'SECRET=1', 'src/.hidden': '2' });
    symlinkSync('/etc/passwd', path.join(here, 'src/link'));
    const { leftOut } = await upload('src', 'work');
    expect(readFiles(path.join(run, 'work'))).toEqual({ '.hidden': '2', a: '1' });
    expect(leftOut.map(({ name }) => name).sort()).toEqual(['.env', 'link']);
  });
});

describe('an existing file', () => {
  test('is never replaced unless it is asked for, in both directions, and newer ones are named', async () => {
    const { here, run, upload, download } = setUpCopy();
    writeFiles(here, { 'src/a': 'mine', 'src/b': 'mine' });
    writeFiles(run, { 'work/a': 'other', 'work/b': 'more' });
    utimesSync(path.join(here, 'src/a'), 1, 1);
    utimesSync(path.join(run, 'work/b'), 1, 1);
    const refused = expect.objectContaining({ code: 'file-exists' });
    await expect(upload('src', 'work')).rejects.toEqual(refused);
    const message = '2 files with other content would be replaced. Nothing was copied.';
    await expect(upload('src', 'work')).rejects.toMatchObject({
      message,
      untrusted: '"a" (newer than the one to copy), "b"',
    });
    await expect(download('work', 'src')).rejects.toMatchObject({
      message,
      untrusted: '"b" (newer than the one to copy), "a"',
    });
    await expect(upload('src/a', 'work/a')).rejects.toEqual(refused);
    expect(readFiles(path.join(run, 'work'))).toEqual({ a: 'other', b: 'more' });
    expect(readFiles(path.join(here, 'src'))).toEqual({ a: 'mine', b: 'mine' });
    await upload('src/a', 'work/a', { replace: true });
    await download('work/b', 'src/b', { replace: true });
    expect(readFiles(path.join(run, 'work'))).toEqual({ a: 'mine', b: 'more' });
    expect(readFiles(path.join(here, 'src'))).toEqual({ a: 'mine', b: 'more' });
  });

  test('of another kind is never replaced, and no link is followed', async () => {
    const { here, run, upload, download } = setUpCopy();
    writeFiles(here, { 'src/a/b': '1', 'src/c': '2', 'elsewhere/x': '' });
    writeFiles(run, { 'work/a': 'a file', 'out/a/b': '1', 'out/c': '2', 'far/x': '' });
    mkdirSync(path.join(run, 'work2/c'), { recursive: true });
    mkdirSync(path.join(run, 'work3'), { recursive: true });
    symlinkSync(path.join(run, 'far'), path.join(run, 'work3/a'));
    for (const remote of ['work', 'work2', 'work3'])
      await expect(upload('src', remote, { replace: true })).rejects.toThrow('which is never overwritten or followed');
    mkdirSync(path.join(here, 'in1/c'), { recursive: true });
    mkdirSync(path.join(here, 'in2'), { recursive: true });
    symlinkSync(path.join(here, 'elsewhere'), path.join(here, 'in2/a'));
    mkdirSync(path.join(here, 'in3'), { recursive: true });
    symlinkSync(path.join(here, 'elsewhere/x'), path.join(here, 'in3/c'));
    for (const local of ['in1', 'in2', 'in3'])
      await expect(download('out', local, { replace: true })).rejects.toMatchObject({ code: 'invalid-file' });
    expect(readFiles(path.join(here, 'elsewhere'))).toEqual({ x: '' });
    expect(readFiles(path.join(run, 'far'))).toEqual({ x: '' });
  });
});

test('a path that is missing in the run is named, with its folder there', async () => {
  const { run, download } = setUpCopy();
  await expect(download('out/x.png', 'x.png')).rejects.toMatchObject({
    message: 'There is no out/x.png in the run. Nothing was copied.',
    untrusted: JSON.stringify(path.join(run, 'out/x.png')),
  });
});

test('limits of bytes and files are enforced before anything is copied, with the largest files', async () => {
  const { here, run, upload, download } = setUpCopy({ maxBytes: 10, maxEntries: 3 });
  writeFiles(run, { 'big/a': 'x'.repeat(9), 'big/b': 'xx', 'many/1': '', 'many/2': '', 'many/3': '', 'many/4': '' });
  writeFiles(here, { 'up/a': 'x'.repeat(9), 'up/b': 'xx', 'more/1': '', 'more/2': '', 'more/3': '', 'more/4': '' });
  await expect(download('big', 'in')).rejects.toMatchObject({
    message: expect.stringContaining('more than the 10 bytes that one call may copy'),
    untrusted: 'The largest: "a" (9 bytes), "b" (2 bytes)',
  });
  await expect(download('many', 'in')).rejects.toThrow('more than 3 files');
  await expect(upload('up', 'work')).rejects.toThrow('more than the 10 bytes');
  await expect(upload('more', 'work')).rejects.toThrow('more than 3 files');
});

/** Options of a run whose image lacks programs. */
const without = (...missing: string[]) =>
  ({ shell: ['/bin/sh'], path: folderWithout(emptyFolder(), missing) }) as const;

test.each(['tar', 'find', 'stat', 'xargs'])(
  'an image without %s is a clear error, and nothing is left',
  async (name) => {
    const { here, run, upload, download } = setUpCopy(without(name));
    writeFiles(here, { 'a/x': '1' });
    writeFiles(run, { 'b/x': '1' });
    for (const copy of [upload, download])
      await expect(copy(copy === upload ? 'a' : 'b', 'c')).rejects.toSatisfy(
        (error) => error instanceof CommandFailed && error.message.startsWith(`${name} isn't in the run's image`),
      );
    expect([readFiles(here), readFiles(run)]).toEqual([
      { a: 'folder', 'a/x': '1' },
      { b: 'folder', 'b/x': '1' },
    ]);
  },
);

test('an image without sha256sum is copied from and to, checked by size, and nothing in it counts as the same', async () => {
  const { here, run, upload, download } = setUpCopy(without('sha256sum'));
  writeFiles(here, { a: '1' });
  expect(await upload('a', 'b')).toMatchObject({ files: 1, checkedBy: 'size' });
  expect(await download('b', 'c')).toMatchObject({ files: 1, checkedBy: 'size' });
  await expect(upload('a', 'b')).rejects.toMatchObject({ code: 'file-exists' });
  expect([readFiles(here), readFiles(run)]).toEqual([{ a: '1', c: '1' }, { b: '1' }]);
});

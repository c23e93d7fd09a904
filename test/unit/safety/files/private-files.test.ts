import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import {
  makePrivateFolder,
  readPrivateFile,
  listJsonFiles,
  readPrivateJson,
  writePrivateJson,
  writePrivateFile,
} from '../../../../src/safety/files/private-files.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const modeOf = (file: string): number => statSync(file).mode & 0o777;

describe.skipIf(process.platform === 'win32')('a private folder', () => {
  test('is made for this user only, with the folders above it', () => {
    const folder = path.join(emptyFolder(), 'a', 'b');
    makePrivateFolder(folder);
    expect(modeOf(folder)).toBe(0o700);
  });

  test('that was open to others is closed to them', () => {
    const folder = emptyFolder();
    chmodSync(folder, 0o755);
    makePrivateFolder(folder);
    expect(modeOf(folder)).toBe(0o700);
  });

  test('is never a link', () => {
    const folder = emptyFolder();
    const link = path.join(emptyFolder(), 'link');
    symlinkSync(folder, link);
    expect(() => makePrivateFolder(link)).toThrow('is not a folder');
  });
});

describe.skipIf(process.platform === 'win32')('a private file', () => {
  test('is read if only this user can', () => {
    const file = path.join(emptyFolder(), 'a');
    writeFileSync(file, 'text', { mode: 0o600 });
    expect(readPrivateFile(file).toString()).toBe('text');
  });

  test.each([0o644, 0o620, 0o606])('with the mode %o is refused: others could have written it', (mode) => {
    const file = path.join(emptyFolder(), 'a');
    writeFileSync(file, 'text');
    chmodSync(file, mode);
    expect(() => readPrivateFile(file)).toThrow('is open to other users');
  });

  test('in a folder that is open to others is refused: they could have put it there', () => {
    const folder = emptyFolder();
    const file = path.join(folder, 'a');
    writeFileSync(file, 'text', { mode: 0o600 });
    chmodSync(folder, 0o777);
    expect(() => readPrivateFile(file)).toThrow('is open to other users');
  });

  test('is never a link or a folder', () => {
    const folder = emptyFolder();
    const file = path.join(folder, 'a');
    const link = path.join(folder, 'link');
    writeFileSync(file, 'text', { mode: 0o600 });
    symlinkSync(file, link);
    expect(() => readPrivateFile(link)).toThrow(/ELOOP/);
    expect(() => readPrivateFile(folder)).toThrow('is not a regular file');
  });

  test('is written with a private mode, and replaces what was there', async () => {
    const folder = path.join(emptyFolder(), 'new');
    const file = path.join(folder, 'a');
    await writePrivateFile(file, 'one');
    chmodSync(folder, 0o777);
    await writePrivateFile(file, 'two');
    expect([modeOf(folder), modeOf(file)]).toEqual([0o700, 0o600]);
    expect(readFileSync(file, 'utf8')).toBe('two');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  test('that cannot be written leaves nothing behind', async () => {
    const folder = emptyFolder();
    mkdirSync(path.join(folder, 'a', 'b'), { recursive: true });
    await expect(writePrivateFile(path.join(folder, 'a'), 'text')).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(readdirSync(folder)).toEqual(['a']);
  });
});

describe('a private JSON file', () => {
  const schema = z.object({ name: z.string() });
  const setUp = () => {
    const lines: unknown[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    return { file: path.join(emptyFolder(), 'cache.json'), log, lines };
  };

  test('is read as it was written', async () => {
    const { file, log } = setUp();
    await writePrivateJson(file, { name: 'ä' }, log);
    expect(await readPrivateJson(file, schema)).toEqual({ name: 'ä' });
  });

  test('counts as missing if a character was changed, or if it is of another shape', async () => {
    const { file, log } = setUp();
    expect(await readPrivateJson(file, schema)).toBeUndefined();
    await writePrivateJson(file, { name: 'abc' }, log);
    writeFileSync(file, readFileSync(file, 'utf8').replace('abc', 'abd'));
    expect(await readPrivateJson(file, schema)).toBeUndefined();
    await writePrivateJson(file, { name: 7 }, log);
    expect(await readPrivateJson(file, schema)).toBeUndefined();
  });

  test('that cannot be written is a line in the log, since a cache can be made again', async () => {
    const { file, log, lines } = setUp();
    mkdirSync(path.join(file, 'sub'), { recursive: true });
    await writePrivateJson(file, { name: 'a' }, log);
    expect(lines).toEqual([
      expect.objectContaining({ msg: 'could not write a cache file', file, err: expect.anything() }),
    ]);
  });
});

test('the JSON files of a folder are listed by name, without other files; a missing folder has none', async () => {
  const folder = emptyFolder();
  for (const name of ['b.json', 'a.json', 'a.json.lock', 'json']) writeFileSync(path.join(folder, name), '{}');
  expect(await listJsonFiles(folder)).toEqual([path.join(folder, 'a.json'), path.join(folder, 'b.json')]);
  expect(await listJsonFiles(path.join(folder, 'missing'))).toEqual([]);
});

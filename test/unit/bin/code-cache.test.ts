import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileBundle } from '../../../src/bin/code-cache.ts';
import type { CodeCacheOptions, CompiledBundle } from '../../../src/bin/code-cache.ts';

let folder: string;
let state: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-code-'));
  state = path.join(folder, 'state');
  file = path.join(folder, 'bundle.cjs');
  await writeFile(
    file,
    'exports.answer = () => 42; exports.place = __filename; exports.sep = require("node:path").sep;',
  );
});
afterEach(() => rm(folder, { recursive: true }));

const compile = (options: Partial<CodeCacheOptions> = {}): CompiledBundle =>
  compileBundle({ file, build: 'first', folder: state, ...options });

/** Has one process keep its code, and gives the file that it is in. */
async function keepOnce(): Promise<string> {
  const bundle = compile();
  bundle.run();
  await bundle.writeCache();
  const [name = ''] = await readdir(state);
  return path.join(state, name);
}

function answerOf(bundle: CompiledBundle): unknown {
  const { answer } = bundle.run();
  return typeof answer === 'function' ? Reflect.apply(answer, undefined, []) : undefined;
}

test('a bundle runs as a script that was required: with its exports, its place and what it requires', () => {
  const bundle = compile();
  expect(bundle.cacheHit).toBe(false);
  expect(bundle.run()).toMatchObject({ place: file, sep: path.sep });
});

test('what one process kept, the next one uses; it is this user’s alone', async () => {
  const kept = await keepOnce();
  expect((await stat(kept)).mode & 0o777).toBe(0o600);
  expect((await stat(state)).mode & 0o777).toBe(0o700);
  const next = compile();
  expect(next.cacheHit).toBe(true);
  expect(answerOf(next)).toBe(42);
});

test('code of another build is not used, though the source is as long: V8 alone would take it', async () => {
  await keepOnce();
  await writeFile(file, (await readFile(file, 'utf8')).replace('42', '43'));
  const next = compile({ build: 'second' });
  expect(next.cacheHit).toBe(false);
  expect(answerOf(next)).toBe(43);
});

test('code that others may write is not used', async () => {
  const kept = await keepOnce();
  await chmod(kept, 0o620);
  expect(compile().cacheHit).toBe(false);
});

test.for([
  ['cut off', (code: Buffer) => code.subarray(0, code.length / 2)],
  ['with one byte changed', (code: Buffer) => code.map((byte, at) => (at === code.length - 9 ? byte ^ 1 : byte))],
  ['empty', () => Buffer.alloc(0)],
  ['something else', () => Buffer.from('not code at all, and longer than what it begins with')],
] as const)('code that is %s is not used, and the bundle runs all the same', async ([, spoil]) => {
  const kept = await keepOnce();
  await writeFile(kept, spoil(await readFile(kept)));
  const next = compile();
  expect(next.cacheHit).toBe(false);
  expect(answerOf(next)).toBe(42);
});

test('where nothing can be kept, it is as if nobody had asked for it', async () => {
  await writeFile(state, 'a file where the folder would be');
  const bundle = compile();
  bundle.run();
  await expect(bundle.writeCache()).resolves.toBeUndefined();
  expect(answerOf(compile())).toBe(42);
  expect(await readdir(folder)).toEqual(['bundle.cjs', 'state']);
});

import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileBundle } from '../../../src/bin/code-cache.ts';
import type { CodeCacheOptions, CompiledBundle } from '../../../src/bin/code-cache.ts';

const require = createRequire(import.meta.url);

let folder: string;
let state: string;
let file: string;

/** Returns a text as the build writes it. */
const wrap = (code: string): string => `(function (exports, require, module, __filename, __dirname) {${code}})`;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-code-'));
  state = path.join(folder, 'state');
  file = path.join(folder, 'bundle.cjs');
  await writeFile(
    file,
    wrap('exports.answer = () => 42; exports.place = __filename; exports.sep = require("node:path").sep;'),
  );
});
afterEach(() => rm(folder, { recursive: true }));

const compile = (options: Partial<CodeCacheOptions> = {}): CompiledBundle =>
  compileBundle({ file, build: 'first', folder: state, ...options });

/** Writes the cache of one process; returns its path. */
async function cacheOnce(): Promise<string> {
  const bundle = compile();
  bundle.run(require);
  await bundle.writeCache();
  const [name = ''] = await readdir(state);
  return path.join(state, name);
}

function answerOf(bundle: CompiledBundle): unknown {
  const { answer } = bundle.run(require);
  return typeof answer === 'function' ? Reflect.apply(answer, undefined, []) : undefined;
}

test('runs a bundle like a required script, with exports, __filename and require', () => {
  const bundle = compile();
  expect(bundle.cacheHit).toBe(false);
  expect(bundle.run(require)).toMatchObject({ place: file, sep: path.sep });
});

test('the next process uses the cached code, which only this user can access', async () => {
  const cached = await cacheOnce();
  expect((await stat(cached)).mode & 0o777).toBe(0o600);
  expect((await stat(state)).mode & 0o777).toBe(0o700);
  const next = compile();
  expect(next.cacheHit).toBe(true);
  expect(answerOf(next)).toBe(42);
});

test('ignores the code of another build, even if the source has the same length', async () => {
  await cacheOnce();
  await writeFile(file, (await readFile(file, 'utf8')).replace('42', '43'));
  const next = compile({ build: 'second' });
  expect(next.cacheHit).toBe(false);
  expect(answerOf(next)).toBe(43);
});

test('ignores code that other users can write', async () => {
  const cached = await cacheOnce();
  await chmod(cached, 0o620);
  expect(compile().cacheHit).toBe(false);
});

test.for([
  ['truncated', (code: Buffer) => code.subarray(0, code.length / 2)],
  ['with one byte changed', (code: Buffer) => code.map((byte, at) => (at === code.length - 9 ? byte ^ 1 : byte))],
  ['empty', () => Buffer.alloc(0)],
  ['not code', () => Buffer.from('not code at all, and longer than what it begins with')],
] as const)('ignores code that is %s and runs the bundle without it', async ([, spoil]) => {
  const cached = await cacheOnce();
  await writeFile(cached, spoil(await readFile(cached)));
  const next = compile();
  expect(next.cacheHit).toBe(false);
  expect(answerOf(next)).toBe(42);
});

test('runs without a cache if nothing can be written', async () => {
  await writeFile(state, 'a file where the folder would be');
  const bundle = compile();
  bundle.run(require);
  await expect(bundle.writeCache()).resolves.toBeUndefined();
  expect(answerOf(compile())).toBe(42);
  expect(await readdir(folder)).toEqual(['bundle.cjs', 'state']);
});

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { execa } from 'execa';
import { array, asyncProperty, check, constantFrom } from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { propertyRuns } from '../../support/effort.ts';
import { PLAIN, valuesOf } from '../../support/env-file.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

let folder: string;
beforeAll(() => {
  folder = emptyFolder();
});

/** Returns what a real shell has after it sourced the file; undefined for a file that is not valid shell code. */
async function sourced(text: string, names: readonly string[]): Promise<Record<string, string> | undefined> {
  const file = path.join(folder, `${Math.random()}.envrc`);
  await writeFile(file, text);
  const { exitCode } = await execa('bash', ['--norc', '-n', file], { reject: false });
  if (exitCode !== 0) return undefined;
  const script = 'set -a; source "$1" >/dev/null 2>&1; env -0';
  const { stdout } = await execa('bash', ['--norc', '-c', script, 'bash', file], { env: {}, extendEnv: false });
  const all = stdout.split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return Object.fromEntries(all.filter(([name]) => names.includes(name ?? '')));
}

/** The parts of files that somebody wrote to mislead. */
const PIECES = [
  ['A=', 'B=', 'export ', 'x', ' ', '\n', '"', "'", '\\', '$', '$(', ')', '`', '#', '~', '{', '}', ';', '&&', '|', '='],
  ['1', '*', '!', '<<X\n', 'X\n', 'if true; then\n', 'fi\n', 'unset A\n', 'A+=', '\t', '"$A"', ':', '\nA=', '\nB='],
].flat();

describe('assignments of plain values', () => {
  test('are read as a shell reads them', async () => {
    const values = valuesOf(PLAIN);
    expect(Object.keys(values)).toHaveLength(10);
    expect(values).toEqual(await sourced(PLAIN, Object.keys(values)));
  });

  test('are never read differently from a shell, whatever the file contains', async () => {
    const parts = constantFrom(...PIECES);
    const property = asyncProperty(array(parts, { minLength: 2, maxLength: 14 }), async (chosen) => {
      const text = `${chosen.join('')}\n`;
      const values = valuesOf(text);
      const names = Object.keys(values);
      const expected = names.length === 0 ? {} : await sourced(text, names);
      return isDeepStrictEqual(values, expected ?? values);
    });
    const { failed, counterexample } = await check(property, { numRuns: propertyRuns(500) });
    expect([failed, counterexample]).toEqual([false, null]);
  });
});

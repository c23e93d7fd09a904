import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { execa } from 'execa';
import { array, asyncProperty, check, constantFrom } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseEnvFile } from '../../../src/configuration/parse-env-file.ts';

const valuesOf = (text: string): Record<string, string> => Object.fromEntries(parseEnvFile(text).values);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-env-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a real shell has after it has sourced the file; undefined for one that is no shell's. */
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

/** What files are made of that somebody wrote to mislead. */
const PIECES = [
  ['A=', 'B=', 'export ', 'x', ' ', '\n', '"', "'", '\\', '$', '$(', ')', '`', '#', '~', '{', '}', ';', '&&', '|', '='],
  ['1', '*', '!', '<<X\n', 'X\n', 'if true; then\n', 'fi\n', 'unset A\n', 'A+=', '\t', '"$A"', ':', '\nA=', '\nB='],
].flat();

const PLAIN = `# what the run needs
export HF_TOKEN=hf_abc   # from the web page
PLAIN=a/b:c,d@e%f+g=h
  export INDENTED='single $HOME \`x\` "quoted"'
DOUBLE="a \\"b\\" \\\\ \\$c $ 5 # no comment"
JOINED=a'b c'"d"e
EMPTY=
HASH=#1
LINES="one
two"
JSON='{"a": [1, 2]}'
UNICODE=größe
HF_TOKEN=again
`;

describe('assignments of plain values', () => {
  test('are read as a shell reads them', async () => {
    const values = valuesOf(PLAIN);
    expect(Object.keys(values)).toHaveLength(10);
    expect(values).toMatchObject({ HF_TOKEN: 'again', LINES: 'one\ntwo', JOINED: 'ab cde', EMPTY: '' });
    expect(values).toEqual(await sourced(PLAIN, Object.keys(values)));
    expect(parseEnvFile(PLAIN).untaken).toEqual([]);
    expect(valuesOf(PLAIN.replaceAll('\n', '\r\n'))).toEqual(values);
  });

  test('are never read as something else than a shell reads, whatever stands in the file', async () => {
    const parts = constantFrom(...PIECES);
    const property = asyncProperty(array(parts, { minLength: 2, maxLength: 14 }), async (chosen) => {
      const text = `${chosen.join('')}\n`;
      const values = valuesOf(text);
      const names = Object.keys(values);
      const expected = names.length === 0 ? {} : await sourced(text, names);
      return isDeepStrictEqual(values, expected ?? values);
    });
    const { failed, counterexample } = await check(property, { numRuns: 2000 });
    expect([failed, counterexample]).toEqual([false, null]);
  });
});

describe('what only a shell can work out', () => {
  test.for([
    ['a command', 'A=$(pass show x)', 'A', '`$(`'],
    ['a command in quotes', 'A="x $(pass show x)"', 'A', '`$(`'],
    ['a command in backticks', 'A=`pass`', 'A', '``'],
    ['another variable', 'A=$B', 'A', '`$`'],
    ['another variable in quotes', 'A="${B}/c"', 'A', '`$`'],
    ['the home folder', 'A=~/x', 'A', '`~`'],
    ['two words', 'A=b c', 'A', 'more than one'],
    ['a second command', 'A=b; rm -rf x', 'A', '`;`'],
    ['a value that is added', 'A+=b', 'A', 'adds'],
    ['an open quote', 'A="b', 'A', 'never closed'],
    ['a file that is run', 'source secrets.sh', 'source', 'nothing in the file is run'],
    ['a file of direnv', 'dotenv_if_exists .env.local', 'dotenv_if_exists', 'nothing in the file is run'],
    ['a line that may be a part of a secret', 'c2VjcmV0IGtleQ', 'a line', 'nothing in the file is run'],
  ] as const)('is not taken, and told by its name: %s', ([, text, name, why]) => {
    const { values, untaken } = parseEnvFile(`${text}\n`);
    expect([...values]).toEqual([]);
    expect(untaken[0]).toMatchObject({ name, line: 1 });
    expect(untaken[0]?.why).toContain(why);
  });

  test('leaves the lines after it alone, unless it may change what they mean', () => {
    expect(valuesOf('source x\nA=$(b "c")\nB=1\n')).toEqual({ B: '1' });
    for (const opening of [
      'if true; then',
      'A="$(cat <<X',
      'cat <<X',
      'f() {',
      'unset B',
      'echo "',
      'A=1 \\',
      'A=1; if true; then',
    ])
      expect(valuesOf(`B=0\n${opening}\nB=1\nC=2\n`), opening).not.toHaveProperty('C');
  });

  test('takes back what was read of a name before', () => {
    expect(valuesOf('A=1\nA=$(x)\n')).toEqual({});
    expect(valuesOf('A=$(x)\nA=1\n')).toEqual({ A: '1' });
    expect(valuesOf('B=1\nA=x; B=2\n')).toEqual({});
  });

  test('is told without a word of a value', () => {
    const { untaken } = parseEnvFile('A="hunter2 $B"\nB=hunter2 hunter2\nhunter2\nC=hunter2$(x)\n');
    expect(untaken.length).toBeGreaterThan(2);
    expect(JSON.stringify(untaken)).not.toContain('hunter2');
  });
});

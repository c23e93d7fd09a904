import { describe, expect, test } from 'vitest';
import { parseEnvFile } from '../../../src/configuration/parse-env-file.ts';
import { PLAIN, valuesOf } from '../../support/env-file.ts';

// test/dstack/configuration/parse-env-file-properties.test.ts compares the same values with a real shell.
describe('assignments of plain values', () => {
  test('are read without their quotes and escapes, whatever the line endings', () => {
    const values = valuesOf(PLAIN);
    expect(values).toEqual({
      HF_TOKEN: 'again',
      PLAIN: 'a/b:c,d@e%f+g=h',
      INDENTED: 'single $HOME `x` "quoted"',
      DOUBLE: 'a "b" \\ $c $ 5 # no comment',
      JOINED: 'ab cde',
      EMPTY: '',
      HASH: '#1',
      LINES: 'one\ntwo',
      JSON: '{"a": [1, 2]}',
      UNICODE: 'größe',
    });
    expect(parseEnvFile(PLAIN).skipped).toEqual([]);
    expect(valuesOf(PLAIN.replaceAll('\n', '\r\n'))).toEqual(values);
  });
});

describe('what only a shell can evaluate', () => {
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
  ] as const)('is skipped and reported by name: %s', ([, text, name, why]) => {
    const { values, skipped } = parseEnvFile(`${text}\n`);
    expect([...values]).toEqual([]);
    expect(skipped[0]).toMatchObject({ name, line: 1 });
    expect(skipped[0]?.why).toContain(why);
  });

  test("doesn't affect later lines unless it may change their meaning", () => {
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

  test('discards earlier values of its variable', () => {
    expect(valuesOf('A=1\nA=$(x)\n')).toEqual({});
    expect(valuesOf('A=$(x)\nA=1\n')).toEqual({ A: '1' });
    expect(valuesOf('B=1\nA=x; B=2\n')).toEqual({});
  });

  test('is reported without any part of a value', () => {
    const { skipped } = parseEnvFile('A="hunter2 $B"\nB=hunter2 hunter2\nhunter2\nC=hunter2$(x)\n');
    expect(skipped.length).toBeGreaterThan(2);
    expect(JSON.stringify(skipped)).not.toContain('hunter2');
  });
});

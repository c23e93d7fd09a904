import { execa } from 'execa';
import { array, constantFrom, sample, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { workerFolder } from '../../src/worker-folder.ts';
import { installedPython } from './installed-dstack.ts';

/** Reads each text with dstack's loader and with ours, and prints whether both came to the same. */
const COMPARE = `
import json, sys, yaml
sys.path.insert(0, sys.argv[1])
import introspect

def outcome(load, text):
    try:
        return repr(load(text))
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

texts = json.load(sys.stdin)
json.dump([[outcome(yaml.safe_load, text), outcome(introspect.load_yaml, text)] for text in texts], sys.stdout)
`;

const PIECES = [
  'type: task',
  'name',
  'a',
  'yes',
  '~',
  '0x1f',
  '1e3',
  '1:20',
  '2020-01-01',
  '2020-13-45',
  '.inf',
  "it's",
  '"q"',
  "'q'",
  '"',
  '"\\q"',
  '"\\/"',
  '# c',
  '---',
  '...',
  '- ',
  ': ',
  ':',
  '? a',
  '|',
  '>-',
  '&a',
  '*a',
  '<<: *a',
  '{a: 1}',
  '[a, b',
  '{',
  ']',
  ',',
  '!t',
  '!!int',
  '!!set',
  '%YAML 1.2',
  '@',
  '`',
  '\t',
  'é',
  '\u00a0',
  'k'.repeat(1030),
];
const line = tuple(constantFrom('', '  ', '    ', '- ', '  - '), array(constantFrom(...PIECES), { maxLength: 4 })).map(
  ([indent, words]) => `${indent}${words.join(' ')}`,
);
const yamlText = array(line, { minLength: 1, maxLength: 6 }).map((lines) => lines.join('\n'));

test('a text means to the quick loader what it means to dstack, errors and their words included', async () => {
  const texts = sample(yamlText, 4_000);
  const { stdout } = await execa(installedPython, ['-B', '-c', COMPARE, workerFolder()], {
    input: JSON.stringify(texts),
  });
  const outcomes = z.array(z.tuple([z.string(), z.string()])).parse(JSON.parse(stdout));
  const differing = texts.filter((_, at) => outcomes[at]?.[0] !== outcomes[at]?.[1]);
  expect(outcomes).toHaveLength(texts.length);
  expect(outcomes.filter(([read]) => !read.includes('Error')).length).toBeGreaterThan(100);
  expect(differing).toEqual([]);
});

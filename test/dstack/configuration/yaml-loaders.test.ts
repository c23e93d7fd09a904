import { execa } from 'execa';
import { array, constantFrom, sample, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { workerFolder } from '../../../src/settings/installation.ts';
import { installedPython } from '../../support/installed-dstack.ts';
import { propertyRuns } from '../../support/effort.ts';

/** Loads each text with dstack's loader and with the worker's, and prints both results. */
const COMPARE = `
import json, sys, yaml
sys.path.insert(0, sys.argv[1])
import parsed_configuration

def outcome(load, text):
    try:
        return repr(load(text))
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

texts = json.load(sys.stdin)
json.dump([[outcome(yaml.safe_load, text), outcome(parsed_configuration.load_yaml, text)] for text in texts], sys.stdout)
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
  '?',
  'a?b',
  '|',
  '>-',
  '>#',
  '&a',
  '*a',
  '<<: *a',
  '{a: 1}',
  '[a, b',
  '[',
  '{',
  '}',
  ']',
  ',',
  '!t',
  '!',
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

/** Texts that libyaml accepts but PyYAML's own parser rejects or reads as another value. */
const LIBYAML_DIFFERENCES = [
  ['commands: [curl http://localhost/?q=1]', /ParserError.*expected ',' or ']', but got '\?'/s],
  ['env: {A: b?}', /ParserError.*expected ',' or '}', but got '\?'/s],
  ['name: >#', /ScannerError.*expected chomping or indentation indicators, but found '#'/s],
  ['name: |2-#\n  a', /ScannerError/],
  ['name: !', /^\{'name': None\}$/],
  ['name:\ta', /ScannerError.*found character '\\t' that cannot start any token/s],
] as const;

test.for(LIBYAML_DIFFERENCES)('%j is loaded as dstack loads it, not as libyaml does', async ([text, expected]) => {
  const [outcome] = await readByBoth([text]);
  expect(outcome?.[0]).toMatch(expected);
  expect(outcome?.[1]).toBe(outcome?.[0]);
});

test("the fast loader returns the same values and errors as dstack's loader", async () => {
  const texts = sample(yamlText, propertyRuns(1_000));
  const outcomes = await readByBoth(texts);
  const differing = texts.filter((_, at) => outcomes[at]?.[0] !== outcomes[at]?.[1]);
  expect(outcomes).toHaveLength(texts.length);
  expect(outcomes.filter(([read]) => !read.includes('Error')).length).toBeGreaterThan(100);
  expect(differing).toEqual([]);
});

/** Returns the result of dstack's loader and of the worker's for each text: the value's `repr`, or the error message. */
async function readByBoth(texts: readonly string[]): Promise<[string, string][]> {
  const { stdout } = await execa(installedPython, ['-B', '-c', COMPARE, workerFolder()], {
    input: JSON.stringify(texts),
  });
  return z.array(z.tuple([z.string(), z.string()])).parse(JSON.parse(stdout));
}

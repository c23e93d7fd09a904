import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertOneReading } from '../../../src/configuration/read-configuration.ts';
import { parseText } from '../../../src/configuration/configuration-text.ts';
import { ToolError } from '../../../src/core/errors.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { readCorpus, sampleCorpus } from '../../support/read-corpus.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';

let runner: WarmRunner;

beforeAll(() => {
  const env = { PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
});
afterAll(() => runner.close());

/** Compares both readings; returns the refusal, or undefined if they agree. */
async function refusalOf(text: string): Promise<string | undefined> {
  const { value } = parseText(text, 'x.dstack.yml');
  try {
    await assertOneReading(
      { introspection: runner.introspection, isPython: true },
      { text, value, shownPath: 'x.dstack.yml' },
    );
    return undefined;
  } catch (error) {
    if (error instanceof ToolError && error.code === 'invalid-file') return error.message;
    throw error;
  }
}

test.each([
  ['a next-line character in a comment', '# a comment\u0085name: prod\ntype: task\n', 'name'],
  ['a line separator in a comment', 'type: task\n# a comment\u2028name: prod\n', 'name'],
  ['a paragraph separator in a comment', 'type: task\n# a comment\u2029name: prod\n', 'name'],
  ['a directive of another YAML version', '%YAML 1.2\n---\ntype: task\nname: yes\n', 'name'],
  ['a number with an exponent', 'type: task\nname: a\nnodes: 1e1\n', 'nodes'],
  ['a letter that only one reader treats as a boolean', 'type: task\nname: y\n', 'name'],
  ['a key that is a number', 'type: task\nenv:\n  1: x\n', 'env'],
])('%s is refused, with the place', async (_what, text, place) => {
  expect(await refusalOf(text)).toMatch(new RegExp(`two ways: .* at \`(?:${place}\\b|\\(the whole file\\))`));
});

test.each([
  ['plain properties', 'type: task\nname: train\ncommands:\n  - python train.py\nresources:\n  gpu: 24GB..\n'],
  ['an anchor and its alias', 'type: task\nfirst: &a [1, 2]\nsecond: *a\n'],
  ['quoted texts, block texts and empty values', 'type: task\nname: "010"\nenv:\ncommands:\n  - |\n    a\n    b\n'],
  ['the current folder, and texts that start with a point', 'files: [., ./a, .b]\nc: [-., ._1, -.5, .5, 1., 1.5]\n'],
  ['booleans, numbers and octal numbers', 'a: yes\nb: off\nc: 1.5\nd: -3\ne: 010\nf: 0x1f\n'],
])('%s are read the same by both', async (_what, text) => {
  expect(await refusalOf(text)).toBeUndefined();
});

test('every configuration of a sample of the corpus that both can read is read the same by both', async () => {
  const refused: string[] = [];
  for (const { title, text } of sampleCorpus(readCorpus('0.22.5'), 8)) {
    const refusal = await refusalOf(text).catch((error: unknown) =>
      error instanceof ToolError ? undefined : String(error),
    );
    if (refusal !== undefined) refused.push(`${title}: ${refusal}`);
  }
  expect(refused).toEqual([]);
});

test('a dstack whose parser does not answer judges nothing', async () => {
  const silent = { load: () => Promise.resolve(undefined) };
  const own = { text: 'type: task\n', value: { type: 'task' }, shownPath: 'x.dstack.yml' };
  await expect(assertOneReading({ introspection: silent, isPython: true }, own)).rejects.toMatchObject({
    code: 'cli-not-understood',
  });
  await expect(assertOneReading({ introspection: silent, isPython: false }, own)).resolves.toBeUndefined();
});

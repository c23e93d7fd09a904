import { expect, test } from 'vitest';
import { readAttachOutput } from '../../../../src/attachments/attach-output.ts';
import { parseEnvFile } from '../../../../src/configuration/parse-env-file.ts';
import { isPlainText } from '../../../../src/configuration/configuration-text.ts';
import { readFailure } from '../../../../src/dstack/output/read-outcome.ts';
import { readFleets, readRuns } from '../../../../src/dstack/output/read-tables.ts';
import { readJsonOutput } from '../../../../src/dstack/output/json-output.ts';
import { readPlan } from '../../../../src/dstack/output/read-plan.ts';
import { maskOutput } from '../../../../src/render/mask-secrets.ts';
import { cleanText } from '../../../../src/render/untrusted.ts';
import { inputLength } from '../../../support/effort.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const transcriptOf = (stdout: string) => ({
  ...readFixture('error-usage'),
  stdout,
  stderr: stdout,
});

/** Returns the error if a reader breaks on a text, instead of reading or rejecting it. */
function crashOf(read: () => unknown): unknown {
  try {
    read();
    return undefined;
  } catch (error) {
    return error instanceof RangeError || error instanceof TypeError ? error : undefined;
  }
}

/** Readers of foreign text. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  readFailure: (text) => readFailure(transcriptOf(text)),
  readPlan: (text) => readPlan(transcriptOf(text)),
  readRuns,
  readFleets,
  readJsonOutput,
  readAttachOutput,
  parseEnvFile,
  isPlainText,
  maskOutput,
  cleanText,
};

const PIECES = [
  ' ',
  '\t',
  '\n',
  '\r',
  'a',
  '0',
  '-',
  '.',
  ': ',
  '"',
  "'",
  '[',
  '{',
  '\\',
  'a b',
  ' \n',
  '│',
  '━',
  '=',
  '$(',
  '\u001b[',
  '..',
  'a:',
];
const AFFIXES = ['', 'x', ' NAME  STATUS \n', 'error: ', 'Run '];

// Quadratic work on texts of this size exceeds the time limit of a test, cubic work takes hours.
const SIZE = inputLength({ unit: 60_000, nightly: 240_000 });

test.each(Object.entries(READERS).flatMap(([name, read]) => AFFIXES.map((affix) => [name, affix, read] as const)))(
  '%s reads or rejects any repetition within %j',
  (_name, affix, read) => {
    const texts = PIECES.map((piece) => `${affix}${piece.repeat(SIZE / piece.length)}${affix}`);
    expect(texts.map((text) => crashOf(() => read(text))).filter((error) => error !== undefined)).toEqual([]);
  },
);

import { expect, test } from 'vitest';
import { readAttachOutput } from '../../../../src/attachments/read-attach-output.ts';
import { parseEnvFile } from '../../../../src/configuration/parse-env-file.ts';
import { isPlainText } from '../../../../src/configuration/parse-text.ts';
import { readFailure } from '../../../../src/dstack/output/read-failure.ts';
import { readFleets, readRuns } from '../../../../src/dstack/output/read-listings.ts';
import { readJsonOutput } from '../../../../src/dstack/output/read-json-output.ts';
import { readPlan } from '../../../../src/dstack/output/read-plan.ts';
import { maskOutput } from '../../../../src/render/mask-places.ts';
import { cleanText } from '../../../../src/render/untrusted.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const transcriptOf = (stdout: string) => ({
  ...readFixture('error-usage'),
  stdout,
  stderr: stdout,
});

const quietly = (read: () => unknown): void => {
  try {
    read();
  } catch {
    // Only its time matters.
  }
};

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

// Quadratic work on a text of this size takes many seconds, cubic work hours.
const SIZE = 60_000;

test.each(Object.entries(READERS))('%s takes linear time', (_name, read) => {
  for (const piece of PIECES)
    for (const affix of AFFIXES) {
      const text = `${affix}${piece.repeat(SIZE / piece.length)}${affix}`;
      const startedAt = performance.now();
      quietly(() => read(text));
      expect(performance.now() - startedAt, JSON.stringify([affix, piece])).toBeLessThan(2_500);
    }
});

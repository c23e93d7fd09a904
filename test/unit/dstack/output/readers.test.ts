import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHelp } from '../../../../src/dstack/catalog/help-pages.ts';
import type { Transcript } from '../../../../src/core/transcript.ts';
import { createFrameReader, encodeFrame } from '../../../../src/dstack/warm/channel.ts';
import type { Frame } from '../../../../src/dstack/warm/channel.ts';
import { parseEnvFile } from '../../../../src/configuration/parse-env-file.ts';
import { codeFrame, locate, parseText } from '../../../../src/configuration/configuration-text.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { cutText } from '../../../../src/render/format-transcript.ts';
import { readFailure, readOutcome } from '../../../../src/dstack/output/read-outcome.ts';
import { readFleets, readRuns, readMetrics, readTable } from '../../../../src/dstack/output/read-tables.ts';
import { readGpuGroups, readOffers } from '../../../../src/dstack/output/read-offers.ts';
import { readPlan } from '../../../../src/dstack/output/read-plan.ts';
import { createLineSplitter } from '../../../../src/dstack/run/collect-output.ts';
import { readAttachOutput } from '../../../../src/attachments/attach-output.ts';
import { createRedactor } from '../../../../src/render/mask-secrets.ts';
import { cleanLine, cleanText, fenceUntrusted } from '../../../../src/render/untrusted.ts';
import { pageLog } from '../../../support/page-log.ts';
import { inputLength, propertyRuns } from '../../../support/effort.ts';

const transcript = (stdout: string, stderr = ''): Transcript => ({
  command: 'dstack apply',
  stdout,
  stderr,
  omittedBytes: 0,
  exit: { kind: 'exited', code: stdout.length % 2 },
  durationMs: 1,
  ran: 'plain',
});

const redactor = createRedactor();
redactor.add(['hf_A/b+c"d=9', 'another secret']);

/** Everything that parses external text, by what it parses. */
const READERS: Readonly<Record<string, (text: string) => unknown>> = {
  'a help page': parseHelp,
  'a table': (text) => readTable(text.split('\n')),
  'a plan': (text) => readPlan(text),
  'the outcome of a change': (text) => readOutcome(transcript(text, text)),
  'a failure': (text) => readFailure(transcript(text, text)),
  offers: (text) => readOffers(text.split('\n')),
  'groups of offers': readGpuGroups,
  runs: readRuns,
  fleets: readFleets,
  metrics: readMetrics,
  'the output of attach': readAttachOutput,
  'a progress bar': (text) => {
    const lines: string[] = [];
    const splitter = createLineSplitter((line) => lines.push(line.text));
    splitter.write(Buffer.from(text));
    return [splitter.end(), lines];
  },
  'the places of a configuration': (text) => {
    const parsed = parseText(text, 'a.dstack.yml');
    const { key, value } = locate(parsed, ['resources', 'gpu', '0', 'name']);
    return [codeFrame(text, key), codeFrame(text, value)];
  },
  'an env file': parseEnvFile,
  'text that is cleaned': cleanText,
  'a line that is cleaned': (text) => cleanLine(text),
  'text that is fenced': (text) => fenceUntrusted(cleanText(text)),
  'text that is cut': (text) => cutText(text, { maxChars: 1_000, keep: 'both' }),
  'text with secrets': (text) => redactor.redact(text),
};

/** Building blocks of the output of dstack, terminals and programs, and of YAML, so that random texts resemble real ones. */
const PIECES = [
  ['\n', '\r', '\r\n', '\t', '  ', '    ', ' ', '\u0000', '\u001B[31m', '\u001B]8;;', '\u202E', '\uFEFF', '\uD800'],
  ['usage: dstack apply [-h]', '[--flag VALUE | -x]', 'options:', '  -h, --help', '{a,b}', '...', '[', ']', '(', ')'],
  [
    ' NAME  BACKEND  PRICE  STATUS',
    ' #  BACKEND  RESOURCES  INSTANCE TYPE  PRICE',
    ' 1  aws (us-east-1)',
    '$0.39',
    '漢字',
  ],
  [' Project  main', ' Configuration  a.dstack.yml', 'Submit the run x? [y/n]: ', 'Run x submitted, detaching...'],
  [
    'Traceback (most recent call last):',
    '  File "x", line 1',
    'ValueError: x',
    '1 validation error for Task',
    'Stopped',
  ],
  [
    'type: task',
    'resources:',
    'gpu: [',
    '&a',
    '*a',
    '<<: ',
    '!!x',
    '- ',
    ': ',
    '"',
    "'",
    '|',
    'export A=',
    '=',
    '#',
    '$(',
  ],
  ['hf_A/b+c"d=9', '0', '99999999999999999999', 'a'.repeat(200), '[masked]', '{"a":', '}', '\\', '%|█', '100%'],
].flat();
const texts = fc
  .array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...PIECES) }, { weight: 1, arbitrary: fc.string() }), {
    maxLength: 60,
  })
  .map((pieces) => pieces.join(''));

/** Returns the result of a parser, or the code of a documented error; any other error is a crash. */
function readSafely(read: (text: string) => unknown, text: string): unknown {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof ToolError) return error.code;
    throw error;
  }
}

/** A configuration is rejected beyond a size; the yaml package creates an error object for each damaged place in it. */
const LENGTHS: Readonly<Record<string, number>> = {
  'the places of a configuration': inputLength({ unit: 1_000, nightly: 5_000 }),
};
const USUAL_LENGTH = inputLength({ unit: 10_000, nightly: 60_000 });

describe.each(Object.entries(READERS))('%s', (what, read) => {
  test('that is damaged in any way is parsed or rejected, and never crashes the parser', () => {
    const damaged = fc.property(texts, (text) => {
      readSafely(read, text);
    });
    expect(() => fc.assert(damaged, { numRuns: propertyRuns(50) })).not.toThrow();
  });

  // The test's timeout is the assertion: quadratic time takes many minutes for all of these.
  test('that is long and repetitive is parsed in time', () => {
    for (const piece of PIECES) {
      const long = piece.repeat(Math.ceil((LENGTHS[what] ?? USUAL_LENGTH) / piece.length));
      // An end that doesn't fit is what makes a pattern try again from each start.
      for (const text of [long, `${long}x`, `x${long}\u0000`]) expect(() => readSafely(read, text)).not.toThrow();
    }
  });
});

test('a frame reader returns each frame once and complete, however the stream is split, and skips unknown frames', () => {
  const frame = fc.record({ kind: fc.constantFrom('o', 'e', 'x', 'r'), request: fc.nat(), payload: fc.uint8Array() });
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), cuts, (frames, sizes) => {
      const unknown = encodeFrame('o', 0, Buffer.from('x'));
      unknown.write('Z', 4, 'latin1');
      const stream = Buffer.concat(
        frames.flatMap(({ kind, request, payload }) => [encodeFrame(kind as Frame['kind'], request, payload), unknown]),
      );
      const got: Frame[] = [];
      const take = createFrameReader((one) => got.push(one));
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1;
        take(stream.subarray(at, at + size));
        at += size;
      }
      expect(got.map(({ kind, request, payload }) => ({ kind, request, payload: new Uint8Array(payload) }))).toEqual(
        frames,
      );
    }),
  );
});

test('a frame of 20 MB that arrives in small chunks is reassembled', () => {
  const payload = Buffer.alloc(20_000_000, 'x');
  const stream = encodeFrame('o', 1, payload);
  const got: number[] = [];
  const take = createFrameReader((one) => got.push(one.payload.length));
  for (let at = 0; at < stream.length; at += 1_000) take(stream.subarray(at, at + 1_000));
  expect(got).toEqual([payload.length]);
});

test('a log of any shape is paged, and no page exceeds its limit', () => {
  const request = { maxBytes: 2_000, logKey: 'a', filter: { text: '%', contextLines: 2 } };
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 20 }), (text, lines) => {
      const page = pageLog(text, { ...request, lines });
      expect(page.total.bytes).toBe(Buffer.byteLength(text));
      expect(page.text.split('\n').length).toBeLessThanOrEqual(1 + lines * (1 + 2 * request.filter.contextLines));
    }),
    { numRuns: propertyRuns(50) },
  );
});

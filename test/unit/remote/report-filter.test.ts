import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createReportFilter } from '../../../src/remote/report-filter.ts';

/** Sends bytes in chunks of a size, and returns what is left of them, and the reports. */
async function filter(input: string, size: number) {
  const reports: string[] = [];
  const stream = createReportFilter('ab12', (words) => reports.push(words.join(' ')));
  const bytes = Buffer.from(input);
  for (let at = 0; at < bytes.length; at += size) stream.write(bytes.subarray(at, at + size));
  stream.end();
  return { left: await text(stream), reports };
}

test.each([1, 2, 7, 1_000])('reports are taken out of the stream, in chunks of %i bytes', async (size) => {
  const input = 'ö\u001eab12 start 12 345\u001eone\ntwo\u001e\u001eab12 exit 3\u001elate';
  expect(await filter(input, size)).toEqual({ left: 'öone\ntwo\u001elate', reports: ['start 12 345', 'exit 3'] });
});

test.each([1, 7, 1_000])('what only resembles a report stays in the stream, in chunks of %i bytes', async (size) => {
  const long = `\u001eab12 ${'x'.repeat(500)}\u001e`;
  const input = `\u001eab13 exit 0\u001e${long}\u001eab12 exit`;
  expect(await filter(input, size)).toEqual({ left: input, reports: [] });
});

test.each([
  'exit 0x1F4',
  'exit x',
  'exit 256',
  'exit 1e2',
  'exit -1',
  'exit ',
  'exit',
  'start x 1',
  'start 1 x',
  'stop 1',
])('a report that the prologue can not have written stays in the stream: %s', async (words) => {
  const forged = `\u001eab12 ${words}\u001e`;
  for (const size of [1, 7, 1_000])
    expect(await filter(`${forged}\u001eab12 exit 255\u001e`, size)).toEqual({ left: forged, reports: ['exit 255'] });
});

test('a report may begin where what only resembles one ends', async () => {
  for (const what of ['exit x', 'x'.repeat(500)])
    for (const size of [1, 7, 1_000])
      expect(await filter(`\u001eab12 ${what}\u001eab12 exit 4\u001e`, size)).toEqual({
        left: `\u001eab12 ${what}`,
        reports: ['exit 4'],
      });
});

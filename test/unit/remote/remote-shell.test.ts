import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createReportFilter, remoteCommand } from '../../../src/remote/remote-shell.ts';
import { sshArguments } from '../../../src/remote/ssh-shell.ts';

test('ssh gets data only as base64, and no configuration', () => {
  const evil = ['-oProxyCommand=touch /tmp/x', "'; reboot; '", '$(id)', '\n~.\n', '%h'];
  const argv = sshArguments(
    '/home/u%/.dstack/ssh/run.control.sock',
    remoteCommand({ script: 'true', data: evil }, 'ab12'),
  );
  expect(argv.slice(0, 5)).toEqual(['-F', 'none', '-T', '-S', '/home/u%%/.dstack/ssh/run.control.sock']);
  expect(argv.slice(-3, -1)).toEqual(['--', 'run']);
  const options = argv.slice(5, -3);
  expect(options.filter((_, at) => at % 2 === 0).every((word) => word === '-o')).toBe(true);
  expect(argv.at(-1)).toMatch(/^exec sh -c '[^'\\!]*' [A-Za-z0-9+/=]+$/);
});

test('data with a NUL, and data longer than a system accepts, are rejected', () => {
  expect(() => remoteCommand({ script: '', data: ['a\0b'] }, 'ab12')).toThrow(RangeError);
  expect(() => remoteCommand({ script: '', data: ['a'.repeat(100_000)] }, 'ab12')).toThrow(RangeError);
});

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

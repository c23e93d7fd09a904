import { finished } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { LineLimit } from '../../../src/mcp/server.ts';

/** Sends chunks through a limit of 10 bytes. Returns the lines that arrive, and how many were dropped. */
async function sendThrough(...chunks: readonly string[]) {
  let dropped = 0;
  const limit = new LineLimit(10, () => {
    dropped += 1;
  });
  const lines: string[] = [];
  limit.on('data', (line: Buffer) => lines.push(line.toString()));
  for (const chunk of chunks) limit.write(chunk);
  limit.end();
  await finished(limit);
  return { lines, dropped };
}

test.each<[string, readonly string[], readonly string[]]>([
  ['one in a chunk', ['{"id":1}\n'], ['{"id":1}\n']],
  ['several in a chunk', ['a\nb\n\nc\n'], ['a\n', 'b\n', '\n', 'c\n']],
  ['in several chunks', ['{"i', 'd"', ':1}\na', '\n'], ['{"id":1}\n', 'a\n']],
  ['as long as the limit', ['123456789\n'], ['123456789\n']],
  ['of characters in two chunks', ['é\n'], ['é\n']],
])('lines are passed on whole: %s', async (_what, chunks, lines) => {
  expect(await sendThrough(...chunks)).toEqual({ lines, dropped: 0 });
});

test.each<[string, readonly string[]]>([
  ['in a chunk', ['a\n1234567890\nb\n']],
  ['in several chunks', ['a\n12345', '67890', '1234567890', '123\nb', '\n']],
  ['that reaches it with its end', ['a\n1234567890', '\nb\n']],
])('a line beyond the limit is dropped once, and the others are passed on: %s', async (_what, chunks) => {
  expect(await sendThrough(...chunks)).toEqual({ lines: ['a\n', 'b\n'], dropped: 1 });
});

test('a line without its end isn’t a message', async () => {
  expect(await sendThrough('a\n', 'b')).toEqual({ lines: ['a\n'], dropped: 0 });
});

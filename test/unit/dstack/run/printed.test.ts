import { expect, test } from 'vitest';
import { toPrinted } from '../../../../src/dstack/run/collect-output.ts';

test('the lines of Windows end like those of other systems, and a lone carriage return stays', () => {
  const stdout = { text: 'a\r\nb\rc\r\n', omittedBytes: 2 };
  const stderr = { text: 'x\r\n', omittedBytes: 2 };
  expect(toPrinted(stdout, stderr, 'win32')).toEqual({ stdout: 'a\nb\rc\n', stderr: 'x\n', omittedBytes: 4 });
  expect(toPrinted(stdout, stderr, 'linux')).toEqual({ stdout: stdout.text, stderr: 'x\r\n', omittedBytes: 4 });
});

import { WriteStream } from 'node:tty';
import { expect, test } from 'vitest';
import { showProgress } from '../../../sandbox/show-progress.ts';

test('without a terminal, a long step prints a line at its start and every minute', () => {
  const lines: string[] = [];
  let now = 0;
  const { onProgress, end } = showProgress(
    (line) => lines.push(line),
    pretendTerminal(false).terminal,
    () => now,
  );
  for (const seconds of [0, 1, 59, 60, 61, 119, 120]) {
    now = seconds * 1000;
    onProgress(`installing… ${seconds} s`, seconds / 240);
  }
  onProgress('starting…');
  end();
  expect(lines).toEqual(['installing… 0 s', 'installing… 60 s', 'installing… 120 s', 'starting…']);
});

test('on a terminal, a long step is a progress bar that the next line replaces', () => {
  const lines: string[] = [];
  const { terminal, shown } = pretendTerminal(true);
  const { onProgress, end } = showProgress((line) => lines.push(line), terminal);
  onProgress('installing… 0 s', 0);
  onProgress('installing… 1 s', 0.5);
  expect(shown()).toContain('░');
  onProgress('starting…');
  end();
  expect(lines).toEqual(['starting…']);
});

/** Creates a stream that claims to be a terminal or not, and records what is written to it. */
function pretendTerminal(isTTY: boolean): { terminal: NodeJS.WriteStream; shown: () => string } {
  let shown = '';
  const terminal = Object.create(WriteStream.prototype, {
    isTTY: { value: isTTY },
    write: {
      value: (text: string) => {
        shown += text;
        return true;
      },
    },
    columns: { value: 100 },
  });
  return { terminal, shown: () => shown };
}

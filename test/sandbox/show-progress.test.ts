import { WriteStream } from 'node:tty';
import { expect, test } from 'vitest';
import { showProgress } from '../../sandbox/show-progress.ts';

test('without a terminal a long step is one line, however far it is, and nothing else is written', () => {
  const lines: string[] = [];
  const { onProgress, end } = showProgress((line) => lines.push(line), pretendTerminal(false).terminal);
  onProgress('installing… 0 s', 0);
  onProgress('installing… 1 s', 0);
  onProgress('installing… 2 s', 0.3);
  onProgress('starting…');
  end();
  expect(lines).toEqual(['installing… 0 s', 'starting…']);
});

test('on a terminal a long step is a bar, which is gone when the next line comes', () => {
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

/** A stream that says of itself that it is a terminal, or none, and keeps what is written to it. */
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

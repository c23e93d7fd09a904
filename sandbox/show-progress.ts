import { SingleBar } from 'cli-progress';

/** Reports a setup step. `share`, from 0 to 1, is the progress of a long step. */
export type OnProgress = (line: string, share?: number) => void;

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Removes the progress bar. */
  readonly end: () => void;
}

/** How often to repeat the line of a long step without a terminal. */
const REPEAT_MS = 60_000;

/** Shows steps as lines, and long steps as a progress bar on a terminal or as a repeated line elsewhere. */
export function showProgress(
  print: (line: string) => void,
  terminal: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
): ProgressDisplay {
  let bar: SingleBar | undefined;
  let printedAt: number | undefined;
  const end = (): void => {
    bar?.stop();
    bar = undefined;
    printedAt = undefined;
  };
  const onProgress: OnProgress = (line, share) => {
    if (share === undefined) {
      end();
      print(line);
    } else if (!terminal.isTTY) {
      if (printedAt !== undefined && now() - printedAt < REPEAT_MS) return;
      print(line);
      printedAt = now();
    } else {
      if (bar === undefined) {
        bar = new SingleBar({
          format: '{bar} {percentage} %  {line}',
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 24,
          stream: terminal,
          hideCursor: true,
          clearOnComplete: true,
          gracefulExit: false,
        });
        bar.start(100, 0, { line });
      }
      bar.update(Math.floor(share * 100), { line });
    }
  };
  return { onProgress, end };
}

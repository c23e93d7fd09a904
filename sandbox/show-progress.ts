import { SingleBar } from 'cli-progress';

/** Is told what a set-up does; `share`, from 0 to 1, of a step whose end is known. */
export type OnProgress = (line: string, share?: number) => void;

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Takes away what is still shown. */
  readonly end: () => void;
}

/** Who reads a log wants to know now and then that a long step goes on, and no more. */
const TELL_EVERY_MS = 15_000;

/** Shows steps as lines, and long ones as a bar where there is a terminal; elsewhere as a line at their begin, and one now and then. */
export function showProgress(
  print: (line: string) => void,
  terminal: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
): ProgressDisplay {
  let bar: SingleBar | undefined;
  let toldAt: number | undefined;
  const end = (): void => {
    bar?.stop();
    bar = undefined;
    toldAt = undefined;
  };
  const onProgress: OnProgress = (line, share) => {
    if (share === undefined) {
      end();
      print(line);
    } else if (!terminal.isTTY) {
      if (toldAt !== undefined && now() - toldAt < TELL_EVERY_MS) return;
      print(line);
      toldAt = now();
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

import { SingleBar } from 'cli-progress';

/** Is told what a set-up does; `share`, from 0 to 1, of a step whose end is known. */
export type OnProgress = (line: string, share?: number) => void;

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Takes away what is still shown. */
  readonly end: () => void;
}

/** Shows steps as lines, and long ones as a bar where there is a terminal; elsewhere one line says that such a step begins. */
export function showProgress(print: (line: string) => void, terminal: NodeJS.WriteStream): ProgressDisplay {
  let bar: SingleBar | undefined;
  let isTold = false;
  const end = (): void => {
    bar?.stop();
    bar = undefined;
    isTold = false;
  };
  const onProgress: OnProgress = (line, share) => {
    if (share === undefined) {
      end();
      print(line);
    } else if (!terminal.isTTY) {
      if (!isTold) print(line);
      isTold = true;
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

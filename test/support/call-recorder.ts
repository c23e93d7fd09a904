import { cp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import * as z from 'zod';
import type { TestHome } from './test-home.ts';
import { CALL_LOG } from './write-call-recorder.ts';

/** A dstack executable that records its arguments and then behaves like the real one. */
export interface Recorder {
  readonly cli: string;
  /** Returns the argv of every call so far, except for help pages and the version. */
  calls(): Promise<readonly (readonly string[])[]>;
  /** Returns how many separate processes were started with this word. */
  readonly starts: (word: string) => Promise<number>;
  /** Forgets all calls so far. */
  readonly forget: () => Promise<void>;
  /** Returns the maximum number of concurrent processes without a worker, including those for help pages and the version. */
  mostAtOnce(): Promise<number>;
}

const noted = z.strictObject({ event: z.enum(['load', 'start', 'end']), argv: z.array(z.string()) });
type Noted = z.output<typeof noted>;

/** Makes servers in this home use the recording executable, with an empty log. */
export async function createRecorder({ home, stateDir }: TestHome): Promise<Recorder> {
  const { cli, preparedState } = inject('sandbox').recorder;
  const log = path.join(home, CALL_LOG);
  const forget = (): Promise<void> => rm(log, { force: true });
  await forget();
  await cp(path.join(preparedState, 'catalog'), path.join(stateDir, 'catalog'), { recursive: true });
  const read = async (): Promise<readonly Noted[]> => {
    const text = await readFile(log, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => noted.parse(JSON.parse(line)));
  };
  return {
    cli,
    async calls() {
      const started = (await read()).filter(({ event }) => event === 'start').map(({ argv }) => argv);
      return started.filter((argv) => !['--help', '-h', '--version'].some((word) => argv.includes(word)));
    },
    async starts(word) {
      return (await read()).filter(({ event, argv }) => event === 'load' && argv.includes(word)).length;
    },
    forget,
    async mostAtOnce() {
      let now = 0;
      const ofProcesses = (await read()).filter(({ event }) => event !== 'start');
      return Math.max(0, ...ofProcesses.map(({ event }) => (now += event === 'load' ? 1 : -1)));
    },
  };
}

import { cp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import * as z from 'zod';
import type { TestHome } from './test-home.ts';
import { CALL_LOG } from './write-call-recorder.ts';

/** A dstack executable that writes down what it is called with, and then is the real one. */
export interface Recorder {
  readonly cli: string;
  /** The argv of every call so far, help pages and the version left out. */
  calls(): Promise<readonly (readonly string[])[]>;
  /** How many processes there were at the same time, at most, without a worker; help pages and the version included. */
  mostAtOnce(): Promise<number>;
}

const noted = z.strictObject({ event: z.enum(['load', 'start', 'end']), argv: z.array(z.string()) });
type Noted = z.output<typeof noted>;

/** Puts the recorder in front of the real dstack for servers in this home, with nothing noted yet. */
export async function createRecorder({ home, stateDir }: TestHome): Promise<Recorder> {
  const { cli, preparedState } = inject('sandbox').recorder;
  const log = path.join(home, CALL_LOG);
  await rm(log, { force: true });
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
    async mostAtOnce() {
      let now = 0;
      const ofProcesses = (await read()).filter(({ event }) => event !== 'start');
      return Math.max(0, ...ofProcesses.map(({ event }) => (now += event === 'load' ? 1 : -1)));
    },
  };
}

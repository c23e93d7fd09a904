import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createRecorder } from './call-recorder.ts';
import type { Recorder } from './call-recorder.ts';
import type { TestHome } from './test-home.ts';
import { FAULTS } from './write-call-recorder.ts';

/** A command of dstack, found by its words, and Python code that runs first. If the code doesn't exit, the real command follows. */
export interface CliFault {
  readonly words: readonly string[];
  readonly python: readonly string[];
}

/** The real dstack executable, except for the commands that a test breaks. Needs a server that starts a process for each command. */
export interface FaultyCli extends Pick<Recorder, 'cli'> {
  readonly breakWith: (...faults: readonly CliFault[]) => Promise<void>;
  /** Returns how often commands with this word were started since `breakWith`. */
  starts(word: string): Promise<number>;
}

/** Makes servers in this home use one. */
export async function createFaultyCli(home: TestHome): Promise<FaultyCli> {
  const { cli, starts, forget } = await createRecorder(home);
  return {
    cli,
    starts,
    async breakWith(...faults) {
      await forget();
      const code = faults.map(({ words, python }) => ({ words, python: python.join('\n') }));
      await writeFile(path.join(home.home, FAULTS), JSON.stringify(code));
    },
  };
}

import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { checked, makeWarmRunner } from './warm-test-runner.ts';

/** What `dstack apply` itself made of a configuration. */
export interface ApplyAnswer {
  /** `unclear`: it said something that shows neither that it took the file nor that it didn't. */
  readonly verdict: 'accepted' | 'refused' | 'unclear';
  readonly text: string;
}

/** Runs `dstack apply -f` on a file of its folder, answers its question with no, and gives what it printed. */
export interface Apply {
  readonly folder: string;
  run(file: string): Promise<string>;
  close(): Promise<void>;
}

export interface ApplyPlace {
  readonly cli: string;
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

/** A process for each, as a person starts it. */
export function applyBare({ cli, env, folder }: ApplyPlace): Apply {
  return {
    folder,
    async run(file) {
      const options = {
        cwd: folder,
        env: { ...env, ...LOG },
        extendEnv: false,
        input: 'n\n',
        all: true,
        reject: false,
      } as const;
      return (await execa(cli, ['apply', '-f', file], options)).all;
    },
    close: () => Promise.resolve(),
  };
}

/** A child of the warm worker for each: the same program with the same output, without its start. */
export function applyWarm({ cli, env, folder }: ApplyPlace): Apply {
  const interpreter = path.join(path.dirname(cli), 'python3');
  const runner = makeWarmRunner({ executable: { path: cli, interpreter, tried: [] }, env: { ...env, ...LOG } });
  return {
    folder,
    async run(file) {
      const argv = await checked({ command: 'apply', flags: { '--file': file } }, 'read');
      const { stdout, stderr } = await runner.read(argv, { cwd: folder, timeoutMs: 120_000, answer: 'n' });
      return `${stdout}${stderr}`;
    },
    close: () => runner.close(),
  };
}

/** With its own log open, dstack shows where it was when it refused: in the reading of the file, or in what comes after. */
const LOG = { DSTACK_CLI_LOG_LEVEL: 'debug', COLUMNS: '1000', NO_COLOR: '1', TERM: 'dumb' };
const REFUSED = /\bin load_apply_configuration\b/;
const ACCEPTED = /\bin apply_configuration\b|^Exiting\.\.\.$|^Unable to read the SSH key\b/m;

/** Tells whether `dstack apply` takes a configuration. */
export async function judgeByApply(apply: Apply, configuration: string): Promise<ApplyAnswer> {
  const file = `${randomUUID()}.dstack.yml`;
  await writeFile(path.join(apply.folder, file), configuration);
  try {
    const text = await apply.run(file);
    return { verdict: REFUSED.test(text) ? 'refused' : ACCEPTED.test(text) ? 'accepted' : 'unclear', text };
  } finally {
    await rm(path.join(apply.folder, file), { force: true });
  }
}

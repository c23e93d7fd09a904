import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { CorpusCase } from './read-corpus.ts';
import { checked, makeWarmRunner } from './warm-test-runner.ts';

/** The verdict of `dstack apply` on a configuration. */
export interface ApplyAnswer {
  /** `unclear`: its output shows neither that it accepted the file nor that it rejected it. */
  readonly verdict: 'accepted' | 'rejected' | 'unclear';
  readonly text: string;
}

/** Runs `dstack apply -f` on a file in its folder, answers its prompt with no, and returns its output. */
export interface Apply {
  readonly folder: string;
  run(file: string): Promise<string>;
  close(): Promise<void>;
}

export interface ApplyOptions {
  readonly cli: string;
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
}

/** Starts a process for each file, as a user would. */
export function applyBare({ cli, env, folder }: ApplyOptions): Apply {
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

/** Uses a child of the warm worker for each file: the same program with the same output, without the startup time. */
export function applyWarm({ cli, env, folder }: ApplyOptions): Apply {
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

/** With debug logging, dstack's traceback shows whether it failed while reading the file or after that. */
const LOG = { DSTACK_CLI_LOG_LEVEL: 'debug', COLUMNS: '1000', NO_COLOR: '1', TERM: 'dumb' };
const REJECTED = /\bin load_apply_configuration\b/;
const ACCEPTED = /\bin apply_configuration\b|^Exiting\.\.\.$|^Unable to read the SSH key\b/m;

/** Returns whether `dstack apply` accepts a configuration. */
export async function judgeByApply(apply: Apply, configuration: string): Promise<ApplyAnswer> {
  const file = `${randomUUID()}.dstack.yml`;
  await writeFile(path.join(apply.folder, file), configuration);
  try {
    const text = await apply.run(file);
    return { verdict: REJECTED.test(text) ? 'rejected' : ACCEPTED.test(text) ? 'accepted' : 'unclear', text };
  } finally {
    await rm(path.join(apply.folder, file), { force: true });
  }
}

/** Returns the cases whose stated verdict differs from that of `dstack apply`. */
export async function findMisjudged(apply: Apply, cases: readonly CorpusCase[]): Promise<string[]> {
  const wrong: string[] = [];
  const queue = cases.values();
  const judge = async (): Promise<void> => {
    for (const { title, text, valid } of queue) {
      const answer = await judgeByApply(apply, text);
      if (answer.verdict !== (valid ? 'accepted' : 'rejected'))
        wrong.push(`${title}: ${answer.verdict}\n${answer.text}`);
    }
  };
  await Promise.all([judge(), judge()]);
  return wrong;
}

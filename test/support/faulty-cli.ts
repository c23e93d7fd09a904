import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import type { TestHome } from './test-home.ts';

/** A command of dstack, found by its words, and Python code that runs first. If the code doesn't exit, the real command follows. */
export interface CliFault {
  readonly words: readonly string[];
  readonly python: readonly string[];
}

/** The real dstack executable, except for the commands that a test breaks. */
export interface FaultyCli {
  readonly cli: string;
  breakWith(...faults: readonly CliFault[]): Promise<void>;
  /** Returns how often broken commands with this word were started since `breakWith`. */
  starts(word: string): Promise<number>;
}

/** Creates one in a home folder. It is a Python script like dstack's own, so that help pages and approved bytes are read in the same way. */
export async function createFaultyCli({ home }: TestHome): Promise<FaultyCli> {
  const [cli, faultsFile, log] = [
    path.join(home, 'dstack'),
    path.join(home, 'faults.json'),
    path.join(home, 'faults.log'),
  ];
  const script = [
    `#!${path.join(path.dirname(inject('sandbox').cli), 'python')}`,
    'import json, os, sys',
    `FAULTS, LOG = ${JSON.stringify(faultsFile)}, ${JSON.stringify(log)}`,
    'for fault in json.load(open(FAULTS)) if os.path.exists(FAULTS) else []:',
    '    if "--help" not in sys.argv and set(fault["words"]) <= set(sys.argv[1:]):',
    '        open(LOG, "a").write(json.dumps(sys.argv[1:]) + "\\n")',
    '        exec(fault["python"])',
    'from dstack._internal.cli.main import main',
    'sys.exit(main())',
    '',
  ];
  await writeFile(cli, script.join('\n'));
  await chmod(cli, 0o755);
  return {
    cli,
    async breakWith(...faults) {
      await rm(log, { force: true });
      await writeFile(
        faultsFile,
        JSON.stringify(faults.map(({ words, python }) => ({ words, python: python.join('\n') }))),
      );
    },
    async starts(word) {
      const lines = (await readFile(log, 'utf8').catch(() => '')).split('\n');
      return lines.filter((line) => line.includes(`"${word}"`)).length;
    },
  };
}

import type { EvalTask } from '../task.ts';
import { SMALL } from '../world.ts';

const SECRET = 'hf_made_up_4711';

/** Requests for which something has to be repaired first. */
export const REPAIR_TASKS: readonly EvalTask[] = [
  {
    name: 'repair-and-run',
    words: 'dstack rejects hello.dstack.yml. Repair it and run it.',
    may: { start: ['hello'] },
    prepare: (world) =>
      world.write(
        'hello.dstack.yml',
        'type: task\nname: hello\npython: 3.10\ncommand:\n  - echo hello\nresources:\n  cpu: 1..\n  memory: 1GB..\n  disk: 1GB..\n',
      ),
    judge: async (world) => ((await world.find('hello')) === undefined ? ["hello wasn't run"] : []),
  },
  {
    name: 'use-token-from-envrc',
    words: 'Run fetch.dstack.yml. The token that it needs is in the .envrc in the same folder.',
    may: { start: ['fetch'] },
    secret: SECRET,
    async prepare(world) {
      await world.write('.envrc', `export HF_TOKEN=${SECRET}\n`);
      await world.write('fetch.dstack.yml', {
        type: 'task',
        name: 'fetch',
        env: ['HF_TOKEN'],
        commands: ['echo fetching'],
        resources: SMALL,
      });
    },
    async judge(world) {
      const run = await world.find('fetch');
      if (run === undefined) return ["fetch wasn't run"];
      const isSent = JSON.stringify(run.run_spec.configuration['env']).includes(SECRET);
      return isSent ? [] : ['the run has another token'];
    },
  },
  {
    name: 'write-new-task',
    words:
      'Write a dstack task with the name probe into probe.dstack.yml that runs "echo probing" on one CPU, 1 GB of memory and 1 GB of disk, and run it.',
    may: { start: ['probe'] },
    async judge(world) {
      const run = await world.find('probe');
      return JSON.stringify(run?.run_spec.configuration['commands'] ?? '').includes('echo probing')
        ? []
        : ["probe wasn't run with these commands"];
    },
  },
];

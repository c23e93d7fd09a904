import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';

/** Example configurations by file name. */
const EXAMPLES = {
  'train.dstack.yml': {
    type: 'task',
    name: 'train',
    commands: ['nvidia-smi', 'for epoch in 1 2 3 4 5; do echo "epoch $epoch of 5"; sleep 1; done', 'echo "done"'],
    resources: { gpu: 'RTX4090' },
  },
  'hello.dstack.yml': {
    type: 'task',
    name: 'hello',
    commands: ['echo "hello from $DSTACK_RUN_NAME"'],
    resources: { cpu: '1..', memory: '1GB..' },
  },
  'serve.dstack.yml': {
    type: 'service',
    name: 'serve',
    port: 8000,
    auth: false,
    commands: ['python -m http.server 8000'],
    resources: { cpu: '1..', memory: '1GB..' },
  },
  'ide.dstack.yml': { type: 'dev-environment', name: 'ide', ide: 'vscode', resources: { gpu: 'A100:80GB' } },
};

/** Writes the example configurations to a folder and returns their file names. */
export async function writeExamples(workspace: string): Promise<string[]> {
  await Promise.all(
    Object.entries(EXAMPLES).map(([name, configuration]) =>
      writeFile(path.join(workspace, name), stringify(configuration)),
    ),
  );
  return Object.keys(EXAMPLES);
}

import path from 'node:path';
import { execa } from 'execa';
import { installedPython } from './installed-dstack.ts';
import { workerFiles } from './warm-fixtures.ts';

/** Runs Python code that can import the worker's modules, and returns the JSON that it prints. */
export async function runPython(
  code: string,
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<unknown> {
  const { cwd = '/', env = {} } = options;
  const program = `import json, sys\nsys.path.insert(0, ${JSON.stringify(workerFiles)})\n${code}`;
  const { stdout } = await execa(installedPython, ['-B', '-c', program], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: path.resolve(cwd), LANG: 'C.UTF-8', ...env },
    extendEnv: false,
    timeout: 60_000,
  });
  return JSON.parse(stdout);
}

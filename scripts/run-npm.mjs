// @ts-check
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

/**
 * Returns how to start npm. Prefers the npm that runs this script: it may not be on PATH, and on Windows it needs no shell.
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ file: string, first: string[], shell: boolean }}
 */
export function findNpm(env) {
  const own = env['npm_execpath'];
  if (own !== undefined && path.basename(own) === 'npm-cli.js')
    return { file: process.execPath, first: [own], shell: false };
  const isWindows = process.platform === 'win32';
  return { file: isWindows ? 'npm.cmd' : 'npm', first: [], shell: isWindows };
}

/**
 * Runs npm and returns its output.
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<string>}
 */
export async function runNpm(args, { cwd, env = process.env }) {
  const { file, first, shell } = findNpm(env);
  const { stdout } = await promisify(execFile)(file, [...first, ...args], { cwd, env, shell, maxBuffer: 64_000_000 });
  return stdout;
}

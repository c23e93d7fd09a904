// @ts-check
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

/**
 * Runs npm and returns its output. Prefers the npm that runs this script, because it needs no shell on Windows.
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<string>}
 */
export async function runNpm(args, { cwd, env = process.env }) {
  const own = env['npm_execpath'];
  const isNpm = own !== undefined && path.basename(own) === 'npm-cli.js';
  const windows = process.platform === 'win32';
  const [file, first] = isNpm ? [process.execPath, [own]] : [windows ? 'npm.cmd' : 'npm', []];
  const options = { cwd, env, shell: windows && !isNpm, maxBuffer: 64_000_000 };
  const { stdout } = await promisify(execFile)(file, [...first, ...args], options);
  return stdout;
}

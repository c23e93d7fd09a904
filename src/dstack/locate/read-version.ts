import { realpath, stat } from 'node:fs/promises';
import { ToolError } from '../../core/errors.ts';
import { checkVersionArgv } from '../argv/check-argv.ts';
import type { Runner } from '../run/runner.ts';
import type { CliIdentity } from './cli-identity-type.ts';

/**
 * Asks the executable for its version, and says which file it is.
 * @throws ToolError `cli-not-understood` when what it prints is no version, `cli-not-found` when it doesn't start.
 */
export async function readIdentity(
  executablePath: string,
  runner: Pick<Runner, 'read'>,
  timeoutMs = 30_000,
): Promise<CliIdentity> {
  const [real, { mtimeMs, size }] = await Promise.all([realpath(executablePath), stat(executablePath)]);
  const { exit, stdout, stderr } = await runner.read(checkVersionArgv(), { timeoutMs });
  const hint = `Run \`${executablePath} --version\` in a terminal: it shows what is wrong. Reinstall with \`uv tool install dstack -U\` or \`pip install dstack -U\`.`;
  if (exit.kind === 'not-started')
    throw new ToolError('cli-not-found', `${executablePath} couldn't be started: ${exit.reason}`, hint);
  if (exit.kind === 'timed-out')
    throw new ToolError('timed-out', `${executablePath} --version didn't end within ${timeoutMs / 1000} s.`, hint);
  // An update notice may stand before the version.
  const version = stdout
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => /^\d+\.\d+[\w.+-]*$/.test(line));
  if (exit.kind === 'exited' && exit.code === 0 && version !== undefined)
    return { path: executablePath, realpath: real, mtimeMs, size, version };
  // GitPython's words, of which the last ones advise to silence them.
  if (stderr.includes('Bad git executable'))
    throw new ToolError(
      'cli-not-understood',
      `${executablePath} doesn't start without git, and there is none on the PATH of this server.`,
      'Install git, or add its folder to PATH in the settings of this server.',
    );
  const seen = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('\n').slice(0, 500);
  throw new ToolError('cli-not-understood', `${executablePath} --version printed no version: ${seen}`, hint);
}

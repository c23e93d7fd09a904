import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { sha256 } from '../../core/values.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-files.ts';
import { checkVersionArgv } from '../argv/check-argv.ts';
import type { Executable, Runner } from '../run/runner.ts';

export const cliIdentity = z.strictObject({
  path: z.string(),
  realpath: z.string(),
  mtimeMs: z.number(),
  size: z.number(),
  version: z.string(),
});

/** Identifies an installed CLI. It is the key of the catalog's cache. */
export type CliIdentity = Readonly<z.output<typeof cliIdentity>>;

export interface CliIdentityOptions {
  readonly executable: Executable;
  readonly runner: Pick<Runner, 'read'>;
  readonly cacheDir: string;
  readonly log: Log;
}

const cachedIdentity = z.strictObject({ stamp: z.string(), identity: cliIdentity });

/**
 * Identifies the CLI, without starting it if the same files were identified before: a start takes a second.
 * @throws ToolError as `readIdentity` does.
 */
export async function resolveCliIdentity({
  executable,
  runner,
  cacheDir,
  log,
}: CliIdentityOptions): Promise<CliIdentity> {
  const stamp = await readInstallationStamp(executable);
  if (stamp === undefined) return readIdentity(executable.path, runner);
  const file = path.join(cacheDir, `identity-${sha256(executable.path).slice(0, 16)}.json`);
  const known = await readPrivateJson(file, cachedIdentity);
  if (known?.stamp === stamp) return known.identity;
  const identity = await readIdentity(executable.path, runner);
  // Checked again: a dstack that was installed in the meantime isn't the one that answered.
  if ((await readInstallationStamp(executable)) === stamp) await writePrivateJson(file, { stamp, identity }, log);
  return identity;
}

/**
 * Asks the executable for its version.
 * @throws ToolError `cli-not-understood` if it prints no version, `cli-not-found` if it doesn't start, `timed-out`.
 */
export async function readIdentity(
  executablePath: string,
  runner: Pick<Runner, 'read'>,
  timeoutMs = 30_000,
): Promise<CliIdentity> {
  const [real, { mtimeMs, size }] = await Promise.all([realpath(executablePath), stat(executablePath)]);
  const { exit, stdout, stderr } = await runner.read(checkVersionArgv(), { timeoutMs });
  const hint = `Run \`${executablePath} --version\` in a terminal to see the error. Reinstall with \`uv tool install dstack -U\` or \`pip install dstack -U\`.`;
  if (exit.kind === 'not-started')
    throw new ToolError('cli-not-found', `${executablePath} couldn't be started: ${exit.reason}`, hint);
  if (exit.kind === 'timed-out')
    throw new ToolError('timed-out', `${executablePath} --version didn't finish within ${timeoutMs / 1000} s.`, hint);
  // An update notice may precede the version.
  const version = stdout
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => /^\d+\.\d+[\w.+-]*$/.test(line));
  if (exit.kind === 'exited' && exit.code === 0 && version !== undefined)
    return { path: executablePath, realpath: real, mtimeMs, size, version };
  // GitPython's message, whose last lines only say how to silence it.
  if (stderr.includes('Bad git executable'))
    throw new ToolError(
      'cli-not-understood',
      `${executablePath} doesn't start without git, and git isn't on this server's PATH.`,
      "Install git, or add its folder to PATH in this server's settings.",
    );
  const seen = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('\n').slice(0, 500);
  throw new ToolError('cli-not-understood', `${executablePath} --version printed no version: ${seen}`, hint);
}

/**
 * Returns a stamp that changes whenever another dstack is installed in this place, from the script and the metadata of its package.
 * Undefined if the package isn't found next to the interpreter, where an upgrade could go unnoticed.
 */
export async function readInstallationStamp({ path: file, interpreter }: Executable): Promise<string | undefined> {
  if (interpreter === undefined) return undefined;
  try {
    const script = await realpath(file);
    const { mtimeMs, size } = await stat(script);
    const info = await findPackageInfo(path.join(path.dirname(interpreter), '..', 'lib'));
    return info === undefined ? undefined : JSON.stringify([script, mtimeMs, size, info, (await stat(info)).mtimeMs]);
  } catch {
    return undefined;
  }
}

async function findPackageInfo(libraries: string): Promise<string | undefined> {
  const found: string[] = [];
  for (const python of await readdir(libraries)) {
    // Windows has no folder for the version.
    if (!python.startsWith('python3') && python !== 'site-packages') continue;
    const packages = path.join(libraries, python === 'site-packages' ? '' : python, 'site-packages');
    const names = await readdir(packages).catch(() => []);
    found.push(
      ...names.filter((name) => /^dstack-[\d.].*\.dist-info$/.test(name)).map((name) => path.join(packages, name)),
    );
  }
  // With two of them, it isn't clear which one the interpreter imports.
  return found.length === 1 ? found[0] : undefined;
}

import { createHash } from 'node:crypto';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import type { Executable } from '../run/executable.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-json.ts';
import { cliIdentity } from './cli-identity-type.ts';
import { readIdentity } from './read-version.ts';
import type { CliIdentity } from './cli-identity-type.ts';
import type { Runner } from '../run/runner.ts';

export interface KnownIdentityOptions {
  readonly executable: Executable;
  readonly runner: Pick<Runner, 'read'>;
  readonly cacheDir: string;
  readonly log: Log;
}

const remembered = z.strictObject({ stamp: z.string(), identity: cliIdentity });

/**
 * Says which CLI it is, without starting it where the same files were asked before: a start costs a second.
 * @throws ToolError as `readIdentity` does.
 */
export async function resolveCliIdentity({
  executable,
  runner,
  cacheDir,
  log,
}: KnownIdentityOptions): Promise<CliIdentity> {
  const stamp = await readInstallationStamp(executable);
  if (stamp === undefined) return readIdentity(executable.path, runner);
  const name = createHash('sha256').update(executable.path).digest('hex').slice(0, 16);
  const file = path.join(cacheDir, `identity-${name}.json`);
  const known = await readPrivateJson(file, remembered);
  if (known?.stamp === stamp) return known.identity;
  const identity = await readIdentity(executable.path, runner);
  // Asked again: what was installed while it ran isn't what answered.
  if ((await readInstallationStamp(executable)) === stamp) await writePrivateJson(file, { stamp, identity }, log);
  return identity;
}

/**
 * What changes whenever another dstack is installed in this place: the script and the metadata of its package. Undefined where the
 * package isn't found beside the interpreter, so that an upgrade could go unseen.
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
    if (!python.startsWith('python3')) continue;
    const packages = path.join(libraries, python, 'site-packages');
    const names = await readdir(packages).catch(() => []);
    found.push(
      ...names.filter((name) => /^dstack-[\d.].*\.dist-info$/.test(name)).map((name) => path.join(packages, name)),
    );
  }
  // Two of them: it can't be told which one the interpreter imports.
  return found.length === 1 ? found[0] : undefined;
}

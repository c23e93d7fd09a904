import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SetupError } from './setup-error.ts';

/** Socket paths are limited to 104 characters on macOS, and dstack and ssh add about 50 to the sandbox's folder. */
const MAX_PATH_LENGTH = 50;

export interface SandboxFolder {
  readonly folder: string;
  /** Whether to remove the folder itself with the sandbox. */
  readonly isTemporary: boolean;
}

/** Creates the sandbox's folder. Defaults to a new temporary folder; an existing folder must be empty. */
export async function createSandboxFolder(wanted: string | undefined): Promise<SandboxFolder> {
  if (wanted === undefined) {
    const usual = await realpath(tmpdir());
    const base = usual.length <= MAX_PATH_LENGTH - 20 || process.platform === 'win32' ? usual : await realpath('/tmp');
    return { folder: await mkdtemp(path.join(base, 'dstack-box-')), isTemporary: true };
  }
  await mkdir(wanted, { recursive: true, mode: 0o700 });
  const folder = await realpath(wanted);
  if (folder.length > MAX_PATH_LENGTH && process.platform !== 'win32') {
    throw new SetupError(
      `The path ${folder} is too long for a sandbox.`,
      `Specify a path of at most ${MAX_PATH_LENGTH} characters, since socket paths are limited.`,
    );
  }
  if ((await readdir(folder)).length > 0)
    throw new SetupError(`${folder} is not empty.`, 'Specify a new or empty folder.');
  return { folder, isTemporary: false };
}

/** Removes the sandbox's files, and the folder itself if it is temporary. */
export async function removeSandboxFolder({ folder, isTemporary }: SandboxFolder): Promise<void> {
  const targets = isTemporary ? [folder] : (await readdir(folder)).map((name) => path.join(folder, name));
  await Promise.all(targets.map((target) => rm(target, { recursive: true, force: true, maxRetries: 5 })));
}

import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SetupError } from './setup-error.ts';

/** A socket's path may have 104 characters on macOS, and dstack and ssh add about 50 to the sandbox's folder. */
const LONGEST_FOLDER = 50;

export interface SandboxFolder {
  readonly folder: string;
  /** Whether the sandbox made the folder, so that it goes away with it. */
  readonly isOwn: boolean;
}

/** Makes the folder of a sandbox: the named one, which has to be empty, or a new temporary one with a short path. */
export async function createSandboxFolder(wanted: string | undefined): Promise<SandboxFolder> {
  if (wanted === undefined) {
    const usual = await realpath(tmpdir());
    const base = usual.length <= LONGEST_FOLDER - 20 || process.platform === 'win32' ? usual : await realpath('/tmp');
    return { folder: await mkdtemp(path.join(base, 'dstack-box-')), isOwn: true };
  }
  await mkdir(wanted, { recursive: true, mode: 0o700 });
  const folder = await realpath(wanted);
  if (folder.length > LONGEST_FOLDER && process.platform !== 'win32') {
    throw new SetupError(
      `The path ${folder} is too long for a sandbox.`,
      `Name a folder with at most ${LONGEST_FOLDER} characters: the sockets in it may not have a long path.`,
    );
  }
  if ((await readdir(folder)).length > 0)
    throw new SetupError(`${folder} isn't empty.`, 'Name a new or an empty folder.');
  return { folder, isOwn: false };
}

/** Removes what the sandbox left in its folder, and the folder where it made it. */
export async function removeSandboxFolder({ folder, isOwn }: SandboxFolder): Promise<void> {
  const targets = isOwn ? [folder] : (await readdir(folder)).map((name) => path.join(folder, name));
  await Promise.all(targets.map((target) => rm(target, { recursive: true, force: true, maxRetries: 5 })));
}

import { mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface FolderLock {
  release(): Promise<void>;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when somebody else holds the lock. */
  readonly onWait?: () => void;
}

/** Waits until this process alone may work on `folder`; a lock whose holder has died is taken over. */
export async function lockFolder(folder: string, { signal, onWait }: LockOptions): Promise<FolderLock> {
  const file = `${folder}.lock`;
  await mkdir(path.dirname(file), { recursive: true });
  let told = false;
  while (!(await tryToLock(file))) {
    signal?.throwIfAborted();
    if ((await isAbandoned(file)) && (await removeAbandoned(file))) continue;
    if (!told) onWait?.();
    told = true;
    await delay(200, undefined, signal === undefined ? {} : { signal });
  }
  return { release: () => rm(file, { force: true }) };
}

async function tryToLock(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(String(process.pid));
    await handle.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** One waiter at a time, and it looks again: or a second one would remove the lock that the first has just taken. */
async function removeAbandoned(file: string): Promise<boolean> {
  const guard = `${file}.takeover`;
  try {
    await mkdir(guard);
  } catch {
    const since = await stat(guard).catch(() => undefined);
    if (since !== undefined && Date.now() - since.mtimeMs > 10_000) await rm(guard, { recursive: true, force: true });
    return false;
  }
  try {
    if (await isAbandoned(file)) await rm(file, { force: true });
    return true;
  } finally {
    await rm(guard, { recursive: true, force: true });
  }
}

async function isAbandoned(file: string): Promise<boolean> {
  const holder = Number(await readFile(file, 'utf8').catch(() => ''));
  if (holder > 0) return !isAlive(holder);
  // Made a moment ago and not written yet, or left by a process that died in between.
  const made = await stat(file).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs > 10_000;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isAlive, lookUpProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { pause } from '../core/poll.ts';

const RETRY_MS = 40;

/**
 * Does `work` while no one else holds the lock: neither this process nor another server. Undefined when it stayed held until the
 * deadline. The lock of a dead process is broken.
 */
export async function withLock<T>(
  lockFile: string,
  deadlineMs: number,
  work: () => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  const until = performance.now() + deadlineMs;
  while (!(await takeLock(lockFile))) {
    if (performance.now() + RETRY_MS > until) return undefined;
    await pause(RETRY_MS);
  }
  try {
    return { value: await work() };
  } finally {
    await rm(lockFile, { force: true });
  }
}

let self: Promise<ProcessIdentity | undefined> | undefined;

async function takeLock(lockFile: string): Promise<boolean> {
  self ??= lookUpProcess(process.pid);
  const holder: ProcessIdentity = { pid: process.pid, startedAt: (await self)?.startedAt ?? '' };
  const own = `${lockFile}.${randomBytes(6).toString('hex')}`;
  await mkdir(path.dirname(lockFile), { recursive: true, mode: 0o700 });
  try {
    await writeFile(own, JSON.stringify(holder), { mode: 0o600, flag: 'wx' });
    // A link fails where the name is taken, and the lock never stands there without its content.
    await link(own, lockFile);
    return true;
  } catch (error) {
    if (!isTaken(error)) throw error;
    await breakStaleLock(lockFile);
    return false;
  } finally {
    await rm(own, { force: true });
  }
}

async function breakStaleLock(lockFile: string): Promise<void> {
  const content = await readFile(lockFile, 'utf8').catch(() => undefined);
  if (content === undefined || (await isHeld(content))) return;
  const aside = `${lockFile}.stale-${randomBytes(6).toString('hex')}`;
  try {
    // As close to each other as can be: looking at the holder took a while.
    if ((await readFile(lockFile, 'utf8')) !== content) return;
    await rename(lockFile, aside);
    // Someone else may have broken it and taken it in between: then it is theirs, and goes back.
    if ((await readFile(aside, 'utf8')) !== content) await link(aside, lockFile);
  } catch {
    // It is gone or taken again: the next attempt will see.
  } finally {
    await rm(aside, { force: true });
  }
}

async function isHeld(content: string): Promise<boolean> {
  try {
    const holder: unknown = JSON.parse(content);
    if (typeof holder !== 'object' || holder === null || !('pid' in holder) || !('startedAt' in holder)) return false;
    const { pid, startedAt } = holder;
    return typeof pid === 'number' && typeof startedAt === 'string' && (await isAlive({ pid, startedAt }));
  } catch {
    return false;
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

// @ts-check
// The one lock of the server, the sandbox and the setup script. Plain JavaScript without packages: the setup runs before there are any.
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, readlink, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * @typedef {object} LockOptions
 * @property {number} deadlineMs How long to wait for another holder. 0 tries once.
 * @property {AbortSignal | undefined} [signal] Ends the wait with an error.
 * @property {() => void} [onWait] Called once if another process or call holds the lock.
 * @property {(pid: number) => Promise<string | undefined>} [startTimeOf] Returns the start time of a living process, which tells it apart
 * from a later process with the same id. Defaults to `startTimeOf`.
 */

const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 80;
/** A takeover takes milliseconds: a guard this old was left behind by a process that was killed. */
const GUARD_MS = 10_000;
/** A holder in another container can't be looked up: it counts as alive while it touches its lock. */
const TOUCH_MS = 10_000;
const UNTOUCHED_MS = 60_000;

/**
 * Does `work` while nobody else holds the lock: no other process and no other call of this one. Takes over the lock of a process that
 * has ended. Returns undefined if another holder kept the lock until the deadline.
 * @template T
 * @param {string} lockFile
 * @param {LockOptions} options
 * @param {() => Promise<T>} work
 * @returns {Promise<{ readonly value: T } | undefined>}
 */
export async function withLock(lockFile, options, work) {
  const { deadlineMs, signal, startTimeOf: lookUp = startTimeOf } = options;
  const until = performance.now() + deadlineMs;
  const holder = JSON.stringify({ pid: process.pid, startedAt: await lookUp(process.pid) });
  await mkdir(path.dirname(lockFile), { recursive: true, mode: 0o700 });
  let pauseMs = 0;
  while (!(await take(lockFile, holder))) {
    signal?.throwIfAborted();
    if (await removeAbandoned(lockFile, lookUp)) continue;
    const leftMs = until - performance.now();
    if (leftMs <= 0) return undefined;
    if (pauseMs === 0) options.onWait?.();
    pauseMs = Math.min(pauseMs * 2 || SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS);
    await delay(Math.min(pauseMs, leftMs), undefined, signal && { signal });
  }
  const touch = setInterval(() => {
    const now = new Date();
    utimes(lockFile, now, now).catch(() => undefined);
  }, TOUCH_MS);
  touch.unref();
  try {
    return { value: await work() };
  } finally {
    clearInterval(touch);
    // A computer that slept may find that somebody else has taken it.
    if ((await readText(lockFile)) === holder) await rm(lockFile, { force: true });
  }
}

/**
 * Returns whether a living process holds the lock.
 * @param {string} lockFile
 */
export async function isLocked(lockFile) {
  const content = await readText(lockFile);
  return content !== undefined && (await isHeld(lockFile, content, startTimeOf));
}

/**
 * Creates the lock file. A link fails if the name is taken, so the lock never exists without its content.
 * @param {string} lockFile
 * @param {string} holder
 */
async function take(lockFile, holder) {
  const own = `${lockFile}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(own, holder, { mode: 0o600, flag: 'wx' });
    await link(own, lockFile);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/**
 * Removes the lock of a process that has ended, and returns whether it did. Only the holder of a guard removes a lock, after reading it
 * again: otherwise a second waiter would remove the lock that a first one has just taken.
 * @param {string} lockFile
 * @param {(pid: number) => Promise<string | undefined>} lookUp
 */
async function removeAbandoned(lockFile, lookUp) {
  const content = await readText(lockFile);
  if (content === undefined || (await isHeld(lockFile, content, lookUp))) return false;
  const guard = `${lockFile}.takeover`;
  try {
    await mkdir(guard);
  } catch {
    await removeOldGuard(guard);
    return false;
  }
  try {
    const isSame = (await readText(lockFile)) === content;
    if (isSame) await rm(lockFile, { force: true });
    return isSame;
  } finally {
    await rmdir(guard).catch(() => undefined);
  }
}

/**
 * Removes the guard of a process that ended in the middle of a takeover.
 * @param {string} guard
 */
async function removeOldGuard(guard) {
  const found = await stat(guard).catch(() => undefined);
  // The clock may have been set back or forward since.
  if (found !== undefined && Math.abs(Date.now() - found.mtimeMs) > GUARD_MS) await rmdir(guard).catch(() => undefined);
}

/**
 * @param {string} lockFile
 * @param {string} content
 * @param {(pid: number) => Promise<string | undefined>} lookUp
 */
async function isHeld(lockFile, content, lookUp) {
  try {
    const { pid, startedAt } = JSON.parse(content);
    if (typeof startedAt !== 'string') return false;
    if (await isOfOtherNamespace(startedAt))
      return Math.abs(Date.now() - (await stat(lockFile)).mtimeMs) < UNTOUCHED_MS;
    return (await lookUp(pid)) === startedAt;
  } catch {
    return false;
  }
}

/**
 * Returns whether a process with this start time is one of another PID namespace, as in another container: its id means nothing here.
 * @param {string} startedAt
 */
export async function isOfOtherNamespace(startedAt) {
  const [, namespace, ticks] = startedAt.split('/');
  return ticks !== undefined && namespace !== (await readNamespace());
}

/**
 * Returns the start time of a living process, undefined for one that has ended. Only Linux tells the time without starting a program;
 * elsewhere every living process has an empty one.
 * @param {number} pid
 * @returns {Promise<string | undefined>}
 */
export async function startTimeOf(pid) {
  if (process.platform === 'linux') return (await readProcStat(pid))?.startedAt;
  try {
    process.kill(pid, 0);
    return '';
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? '' : undefined;
  }
}

/** @type {Promise<string> | undefined} */
let bootId;
/** @type {Promise<string> | undefined} */
let namespaceId;

const readNamespace = () => (namespaceId ??= readlink('/proc/self/ns/pid').catch(() => 'unknown'));

/**
 * Reads a living process from Linux's /proc; undefined for none and for a zombie. The start time includes the boot, since it counts from
 * there, and the PID namespace.
 * @param {number} pid
 */
export async function readProcStat(pid) {
  bootId ??= readText('/proc/sys/kernel/random/boot_id').then((text) => text?.trim() ?? 'unknown');
  const text = await readText(`/proc/${pid}/stat`);
  // The command's name may contain spaces and brackets; the fields after its last bracket don't. Field 3 is the first of these.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? [];
  const [state, , groupId] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined || 'ZXx'.includes(state)) return undefined;
  return { startedAt: `${await bootId}/${await readNamespace()}/${startTicks}`, groupId: Number(groupId) };
}

/** @param {string} file */
const readText = (file) => readFile(file, 'latin1').catch(() => undefined);

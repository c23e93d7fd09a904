import { execFileSync, spawnSync } from 'node:child_process';

/** Whether the limits of another process can be set; tests that need it are skipped otherwise. */
export const canLimitFiles = spawnSync('prlimit', ['--version']).status === 0;

/**
 * Limits the size of files that the process writes from now on. The system refuses more as on a full disk, even in the middle of a write.
 * The limit needs no privileges and can be lifted again.
 */
export function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:unlimited`]);
}

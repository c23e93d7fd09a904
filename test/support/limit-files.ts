import { execFileSync, spawnSync } from 'node:child_process';

/** Whether a process can be limited from outside; where not, what needs it is left out. */
export const canLimitFiles = spawnSync('prlimit', ['--version']).status === 0;

/**
 * From now on no file that the process writes may grow beyond as many bytes: the system refuses it then as it does on a full disk, also in
 * the middle of a write. Needs no rights: it can be lifted again.
 */
export function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:unlimited`]);
}

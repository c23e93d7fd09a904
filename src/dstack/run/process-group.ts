import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** A process that leads its own group. */
export interface GroupLeader {
  readonly pid: number;
  /** Settles when the leader itself has exited. */
  readonly exited: Promise<unknown>;
}

/** Process groups to kill if this process exits, even during a graceful shutdown of them. */
const groupsToKillOnExit = new Set<number>();
process.on('exit', () => {
  for (const pid of groupsToKillOnExit) killGroup(pid);
});

/** Makes a group end with this process: only for commands that read, which can be ended at any point. */
export function killOnExit({ pid, exited }: GroupLeader): void {
  groupsToKillOnExit.add(pid);
  void exited.then(() => groupsToKillOnExit.delete(pid));
}

/** Ends a process and everything it started: SIGTERM first, SIGKILL after the grace period. Resolves when the leader is gone. */
export async function endGroup(leader: GroupLeader, graceMs: number): Promise<void> {
  signalGroup(leader.pid, 'SIGTERM');
  const grace = new AbortController();
  await Promise.race([leader.exited, delay(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)]);
  grace.abort();
  killGroup(leader.pid);
  await leader.exited;
}

/** Kills what remains of a group. Safe after the leader's exit: its ID isn't reused while the group has members. */
export function killGroup(pid: number): void {
  // Windows has no groups, and without its leader a tree of processes can't be found.
  if (process.platform !== 'win32') signalGroup(pid, 'SIGKILL');
}

/** Signals a group. On Windows, which has neither groups nor signals, every signal kills the process and those that it started. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  // 0 would be this process's own group: a process that couldn't be started has no ID.
  if (pid <= 1) return;
  if (process.platform === 'win32') {
    void execa('taskkill', ['/pid', String(pid), '/T', '/F'], { reject: false, windowsHide: true });
    return;
  }
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // ESRCH: the group is empty. EPERM: macOS reports this if only a zombie remains.
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
  }
}

import { execa } from 'execa';

/** A process that was started as the leader of its own group. */
export interface GroupLeader {
  readonly pid: number;
  /** Settles when the leader itself has ended. */
  readonly exited: Promise<unknown>;
}

/** Groups that are killed when this process ends by itself, were it in the middle of ending them politely. */
const groupsToKillOnExit = new Set<number>();
process.on('exit', () => {
  for (const pid of groupsToKillOnExit) killGroup(pid);
});

/** Lets a group not outlive this process: for what only reads, and so may be ended anywhere. */
export function killOnExit({ pid, exited }: GroupLeader): void {
  groupsToKillOnExit.add(pid);
  void exited.then(() => groupsToKillOnExit.delete(pid));
}

/** Ends a process and all that it started: asks first, and kills what is left after the grace. Settles when the leader is gone. */
export async function endGroup(leader: GroupLeader, graceMs: number): Promise<void> {
  if (process.platform === 'win32') {
    await execa('taskkill', ['/pid', String(leader.pid), '/T', '/F'], { reject: false });
    await leader.exited;
    return;
  }
  signalGroup(leader.pid, 'SIGTERM');
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, graceMs)));
  await Promise.race([leader.exited, grace]);
  clearTimeout(timer);
  killGroup(leader.pid);
  await leader.exited;
}

/** Kills what is left of a group, at once. Safe after the leader's end: its number isn't given anew while the group has members. */
export function killGroup(pid: number): void {
  if (process.platform !== 'win32') signalGroup(pid, 'SIGKILL');
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // ESRCH: nobody is left. EPERM: macOS answers so for a group of which only a zombie is left.
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
  }
}

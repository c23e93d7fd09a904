import { execa } from 'execa';
import { within } from '../../core/waiting.ts';
import { codeOf } from '../../core/errors.ts';
import { windowsProgram } from '../../core/paths.ts';

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
  await within(graceMs, leader.exited);
  killGroup(leader.pid);
  await leader.exited;
}

/** Kills what remains of a group. Safe after the leader's exit: its ID isn't reused while the group has members. */
export function killGroup(pid: number): void {
  // Windows has no groups, and without its leader a tree of processes can't be found.
  if (process.platform !== 'win32') signalGroup(pid, 'SIGKILL');
}

/** Signals a group, or on Windows kills a process with those that it started. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  const order = toGroupOrder(pid, signal, process.platform);
  if (order.kind === 'kill-tree') void execa(order.file, [...order.argv], { reject: false, windowsHide: true });
  if (order.kind === 'signal') sendSignal(order.target, signal);
}

/** Signals a process, or a group by its negative ID. */
export function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    // ESRCH: the group is empty. EPERM: macOS reports this if only a zombie remains.
    if (codeOf(error) !== 'ESRCH' && codeOf(error) !== 'EPERM') throw error;
  }
}

/** The action for a signal to a group. */
export type GroupOrder =
  | { readonly kind: 'signal'; readonly target: number }
  | { readonly kind: 'kill-tree'; readonly file: string; readonly argv: readonly string[] }
  | { readonly kind: 'nothing' };

/** Decides how a group is signalled. Windows has neither groups nor signals: what ends a process there kills it. */
export function toGroupOrder(pid: number, signal: NodeJS.Signals, platform: NodeJS.Platform): GroupOrder {
  // 0 would be this process's own group, and 1 all processes: what couldn't be started has no ID.
  if (!Number.isInteger(pid) || pid <= 1) return { kind: 'nothing' };
  if (platform !== 'win32') return { kind: 'signal', target: -pid };
  const ends = signal === 'SIGTERM' || signal === 'SIGKILL' || signal === 'SIGINT';
  if (!ends) return { kind: 'nothing' };
  return { kind: 'kill-tree', file: windowsProgram('taskkill.exe'), argv: ['/pid', String(pid), '/T', '/F'] };
}

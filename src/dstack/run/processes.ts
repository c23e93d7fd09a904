import { readFile, readdir } from 'node:fs/promises';
import { execa } from 'execa';
import { codeOf } from '../../core/errors.ts';
import { readProcStat } from '../../core/exclusive-lock.mjs';
import { windowsProgram } from '../../core/paths.ts';
import { within } from '../../core/waiting.ts';

/** Identifies a process. A pid is reused, a pid with its start time isn't. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque. Contains the boot id on Linux, because start times are relative to the boot. */
  readonly startedAt: string;
}

/** Information about a running process from the system. */
export interface ProcessFacts extends ProcessIdentity {
  readonly groupId: number | undefined;
  /** Its arguments; a single string if the system doesn't separate them. */
  readonly argv: readonly string[];
}

/** Looks up a process; undefined if there is none or it is a zombie. */
export async function lookUpProcess(pid: number): Promise<ProcessFacts | undefined> {
  if (process.platform === 'linux') return await lookUpOnLinux(pid);
  return process.platform === 'win32' ? await lookUpOnWindows(pid) : await lookUpWithPs(pid);
}

/** Returns true if this process is running, not another one with its pid. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await lookUpProcess(identity.pid))?.startedAt === identity.startedAt;
}

/** A process with the value of a variable in its environment. */
export interface MarkedProcess extends ProcessFacts {
  readonly value: string;
}

/**
 * Finds the running processes with this variable in their environment: all descendants of a process that was started with it, in any
 * process group. Returns undefined on systems other than Linux.
 */
export async function findByEnvironment(name: string): Promise<MarkedProcess[] | undefined> {
  if (process.platform !== 'linux') return undefined;
  const pids = (await readdir('/proc')).filter((pid) => /^\d+$/.test(pid));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const entry = environment.split('\0').find((one) => one.startsWith(`${name}=`));
      const facts = entry === undefined ? undefined : await lookUpOnLinux(Number(pid));
      return facts && { ...facts, value: entry?.slice(name.length + 1) ?? '' };
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function lookUpOnLinux(pid: number): Promise<ProcessFacts | undefined> {
  const stat = await readProcStat(pid);
  const cmdline = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
  if (stat === undefined || cmdline === undefined) return undefined;
  return { pid, ...stat, argv: cmdline.split('\0').slice(0, -1) };
}

/** For macOS and the BSDs. Start times are in seconds, which together with the argv is enough to identify a process. */
async function lookUpWithPs(pid: number): Promise<ProcessFacts | undefined> {
  const { stdout, failed } = await execa('ps', ['-o', 'stat=,pgid=,lstart=,command=', '-ww', '-p', String(pid)], {
    env: { LC_ALL: 'C' },
    stdin: 'ignore',
    reject: false,
    timeout: 5000,
  });
  return failed ? undefined : parsePs(pid, stdout);
}

/** Parses a line of `ps -o stat=,pgid=,lstart=,command=`. */
export function parsePs(pid: number, stdout: string): ProcessFacts | undefined {
  const match = /^\s*(\S+)\s+(\d+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/m.exec(stdout);
  const [, state, groupId, startedAt, command] = match ?? [];
  if (state === undefined || startedAt === undefined || state.startsWith('Z')) return undefined;
  return { pid, startedAt: startedAt.replaceAll(/\s+/g, ' '), groupId: Number(groupId), argv: [command ?? ''] };
}

const WINDOWS_QUERY =
  '$p = Get-CimInstance Win32_Process -Filter "ProcessId=$env:DSTACK_MCP_PID"; if ($p) { $p.CreationDate.ToFileTimeUtc(); $p.CommandLine }';

async function lookUpOnWindows(pid: number): Promise<ProcessFacts | undefined> {
  const { stdout, failed } = await execa(
    windowsProgram('WindowsPowerShell\\v1.0\\powershell.exe'),
    ['-NoProfile', '-NonInteractive', '-Command', WINDOWS_QUERY],
    {
      env: { DSTACK_MCP_PID: String(pid) },
      stdin: 'ignore',
      reject: false,
      timeout: 10_000,
    },
  );
  const [startedAt, ...command] = stdout.split(/\r?\n/);
  if (failed || startedAt === undefined || startedAt === '') return undefined;
  return { pid, startedAt, groupId: undefined, argv: [command.join(' ').trim()] };
}

/** A process that leads its own group. */
interface GroupLeader {
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
type GroupOrder =
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

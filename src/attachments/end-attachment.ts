import { lstat } from 'node:fs/promises';
import { execa } from 'execa';
import type { AttachmentRecord } from './attachment-store.ts';
import { isAlive } from './process-identity.ts';
import type { ProcessFacts, ProcessIdentity } from './process-identity.ts';
import { closeTunnel, findMembers, removeDeadSocket } from './ssh-tunnel.ts';
import type { SshContext } from './ssh-tunnel.ts';
import { pause } from '../core/poll.ts';

/** How the processes of an attachment ended. */
export interface Ended {
  /** `detached`: dstack closed its tunnel itself. `killed`: it had to be ended. `was-gone`: it had ended before. */
  readonly how: 'detached' | 'killed' | 'was-gone';
  /** Processes left behind by dstack (the SSH master, its proxy) that were ended after it. */
  readonly leftovers: number;
  /** Processes that couldn't be ended; empty unless the system refused. */
  readonly stillAlive: readonly number[];
}

export interface EndOptions {
  readonly ssh: SshContext;
  /** True once dstack has said that it detached: what it still waits for then is nothing of ours. */
  readonly saysDetached: () => Promise<boolean>;
}

const STEPS = [
  // Ctrl+C is dstack's own way to detach: it closes the tunnel and takes its hosts out of the SSH configuration.
  { signal: 'SIGINT', graceMs: 8000 },
  { signal: 'SIGTERM', graceMs: 3000 },
  { signal: 'SIGKILL', graceMs: 3000 },
] as const;
const POLL_MS = 50;
// With --logs dstack stays for up to 10 s after "Detached" and its clean-up, waiting for a websocket of its own.
const AFTER_DETACH_MS = 300;

/** Ends exactly the processes of one attachment, its leader's group first, then what dstack leaves behind. Never the run. */
export async function endAttachment(record: AttachmentRecord, { ssh, saysDetached }: EndOptions): Promise<Ended> {
  const signalled = record.leader !== undefined && (await endGroup(record.leader, { record, saysDetached }));
  if (record.tunnel !== undefined) await closeTunnel(record.tunnel, ssh);
  const leftovers = await findMembers(record);
  for (const step of STEPS.slice(1)) await endEach(leftovers, step);
  if (record.tunnel !== undefined) await removeDeadSocket(record.tunnel, ssh);
  const alive = await findMembers(record);
  const left = (await saysDetached()) ? 'detached' : 'killed';
  return { how: signalled ? left : 'was-gone', leftovers: leftovers.length, stillAlive: alive.map(({ pid }) => pid) };
}

interface GroupContext {
  readonly record: AttachmentRecord;
  readonly saysDetached: EndOptions['saysDetached'];
}

/** False when there was nothing to end. */
async function endGroup(leader: ProcessIdentity, context: GroupContext): Promise<boolean> {
  for (const [index, { signal, graceMs }] of STEPS.entries()) {
    // Right before each signal: the number must still stand for the process that was started.
    if (!(await isAlive(leader))) return index > 0;
    await signalGroup(leader.pid, signal);
    if (await isGoneWithin(leader, graceMs, signal === 'SIGINT' ? () => hasDetached(context) : undefined)) return true;
  }
  return true;
}

async function hasDetached({ record, saysDetached }: GroupContext): Promise<boolean> {
  if (!(await saysDetached())) return false;
  const socket =
    record.tunnel === undefined ? undefined : await lstat(record.tunnel.controlSocket).catch(() => undefined);
  return socket === undefined || record.tunnel?.owned === false;
}

async function isGoneWithin(
  leader: ProcessIdentity,
  graceMs: number,
  isEnough?: () => Promise<boolean>,
): Promise<boolean> {
  let until = performance.now() + graceMs;
  let shortened = false;
  while (await isAlive(leader)) {
    if (performance.now() >= until) return false;
    if (!shortened && (await isEnough?.()) === true) {
      shortened = true;
      until = Math.min(until, performance.now() + AFTER_DETACH_MS);
    }
    await pause(POLL_MS);
  }
  return true;
}

async function endEach(members: readonly ProcessFacts[], { signal, graceMs }: (typeof STEPS)[number]): Promise<void> {
  await Promise.all(
    members.map(async (member) => {
      if (!(await isAlive(member))) return;
      sendSignal(member.pid, signal);
      await isGoneWithin(member, graceMs);
    }),
  );
}

/** Windows has neither groups nor signals: there the tree under the process is ended, which leaves dstack no time to detach. */
async function signalGroup(pid: number, signal: NodeJS.Signals): Promise<void> {
  if (process.platform !== 'win32') sendSignal(-pid, signal);
  else await execa('taskkill', ['/PID', String(pid), '/T', '/F'], { stdin: 'ignore', reject: false });
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in between, or isn't ours to signal: whether it is gone is looked at next.
  }
}

import { lstat } from 'node:fs/promises';
import { sendSignal, signalGroup, isAlive } from '../dstack/run/processes.ts';
import type { ProcessFacts, ProcessIdentity } from '../dstack/run/processes.ts';
import { ToolError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { pause } from '../core/waiting.ts';
import { viewOutput } from './attachment-store.ts';
import type { AttachmentRecord } from './attachment-store.ts';
import { viewAttachment } from './attachment-view.ts';
import type { Attachment, ViewContext } from './attachment-view.ts';
import { readAttachOutput } from './attach-output.ts';
import { closeTunnel, findMembers, removeDeadSocket } from './attachment-processes.ts';
import type { SshContext } from './attachment-processes.ts';

/** The result of stopping an attachment. */
export interface AttachStop {
  /** Its state before it was stopped. */
  readonly attachment: Attachment;
  readonly ended: EndResult;
}

export interface StopContext extends ViewContext {
  readonly log: Log;
}

const LOCK_MS = 20_000;

/**
 * Stops an attachment and deletes its record. The run continues. Returns undefined if the attachment was stopped or restarted by another call,
 * or if `isWanted` says no once nobody else can change it.
 * @throws ToolError `busy`.
 */
export async function stopAttachment(
  record: AttachmentRecord,
  context: StopContext,
  isWanted: (current: AttachmentRecord) => Promise<boolean> = async () => true,
): Promise<AttachStop | undefined> {
  const { store, log } = context;
  const stopped = await store.withLock(record.id, LOCK_MS, async () => {
    const current = (await store.read(record.id)) ?? (await findRunning(record));
    // It was stopped, or replaced by a new attachment that must not be stopped.
    if (current?.marker !== record.marker || !(await isWanted(current))) return undefined;
    const seen = await viewAttachment(current, context);
    // Without a running process, the recorded pid may belong to another process, which must not be signalled.
    const leader = seen.attachment.pid === undefined ? undefined : seen.record.leader;
    const ended = await endProcesses({ ...seen.record, leader }, context);
    if (ended.stillAlive.length === 0) await store.forget(record.id);
    log.info({ id: record.id, ...ended }, 'Ended dstack attach.');
    return { attachment: seen.attachment, ended };
  });
  if (stopped === undefined) throw busy(record.id);
  return stopped.value;
}

/** Returns the record itself if its processes run although it was deleted. */
const findRunning = async (record: AttachmentRecord): Promise<AttachmentRecord | undefined> =>
  (await findMembers(record)).length > 0 ? record : undefined;

/** Ends the processes of an attachment and their leftovers. Keeps the record. */
export async function endProcesses(record: AttachmentRecord, { store, ssh }: ViewContext): Promise<EndResult> {
  const printedDetached = async (): Promise<boolean> => {
    const { head, tail } = await viewOutput(store.outputFile(record.id));
    return readAttachOutput(`${head}\n${tail}`).detached;
  };
  return await endAttachment(record, { ssh, printedDetached });
}

/** Creates the error for an attachment that another call or server is working on. */
export function busy(id: string): ToolError {
  return new ToolError(
    'busy',
    `The attachment ${id} is being started or stopped by another call. Nothing was changed.`,
    'Call attach with action "status" in a few seconds.',
  );
}

/** The end of the processes of an attachment. */
export interface EndResult {
  /** `detached`: dstack closed its tunnel itself. `killed`: dstack had to be killed. `was-gone`: it had already exited. */
  readonly how: 'detached' | 'killed' | 'was-gone';
  /** Processes that couldn't be ended; empty unless the system denied it. */
  readonly stillAlive: readonly number[];
}

interface EndOptions {
  readonly ssh: SshContext;
  /** Returns true once dstack printed that it detached: it doesn't do anything relevant after that. */
  readonly printedDetached: () => Promise<boolean>;
}

const STEPS = [
  // On Ctrl+C dstack detaches: it closes the tunnel and removes its hosts from the SSH configuration.
  { signal: 'SIGINT', graceMs: 8000 },
  { signal: 'SIGTERM', graceMs: 3000 },
  { signal: 'SIGKILL', graceMs: 3000 },
] as const;
const POLL_MS = 50;
// With --logs dstack runs for up to 10 s after "Detached" and its cleanup, waiting for a websocket.
const AFTER_DETACH_MS = 300;

/** Ends only the processes of one attachment: its leader's group first, then what dstack leaves running. Never the run. */
async function endAttachment(record: AttachmentRecord, { ssh, printedDetached }: EndOptions): Promise<EndResult> {
  const signalled = record.leader !== undefined && (await endGroup(record.leader, { record, printedDetached }));
  if (record.tunnel !== undefined) await closeTunnel(record.tunnel, ssh);
  const leftovers = await findMembers(record);
  for (const step of STEPS.slice(1)) await endEach(leftovers, step);
  if (record.tunnel !== undefined) await removeDeadSocket(record.tunnel, ssh);
  const alive = await findMembers(record);
  const how = (await printedDetached()) ? 'detached' : 'killed';
  return { how: signalled ? how : 'was-gone', stillAlive: alive.map(({ pid }) => pid) };
}

interface GroupContext {
  readonly record: AttachmentRecord;
  readonly printedDetached: EndOptions['printedDetached'];
}

/** Returns false if there was nothing to end. */
async function endGroup(leader: ProcessIdentity, context: GroupContext): Promise<boolean> {
  for (const [index, { signal, graceMs }] of STEPS.entries()) {
    // Right before each signal: the pid must still belong to the process that was started.
    if (!(await isAlive(leader))) return index > 0;
    signalGroup(leader.pid, signal);
    if (await isGoneWithin(leader, graceMs, signal === 'SIGINT' ? () => hasDetached(context) : undefined)) return true;
  }
  return true;
}

async function hasDetached({ record, printedDetached }: GroupContext): Promise<boolean> {
  if (!(await printedDetached())) return false;
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

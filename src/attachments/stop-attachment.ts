import { ToolError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { AttachmentRecord } from './attachment-store.ts';
import { viewAttachment } from './attachment-view.ts';
import type { Attachment, ViewContext } from './attachment-view.ts';
import { endAttachment } from './end-attachment.ts';
import type { Ended } from './end-attachment.ts';

import { viewOutput } from './attachment-log.ts';
import { readAttachOutput } from './read-attach-output.ts';

/** What stopping came to. */
export interface AttachStop {
  /** As it was before. */
  readonly attachment: Attachment;
  readonly ended: Ended;
}

export interface StopContext extends ViewContext {
  readonly log: Log;
}

const LOCK_MS = 20_000;

/**
 * Ends one attachment and forgets it; the run goes on. Undefined when it was stopped or started anew meanwhile.
 * @throws ToolError `busy`.
 */
export async function stopAttachment(record: AttachmentRecord, context: StopContext): Promise<AttachStop | undefined> {
  const { store, log } = context;
  const stopped = await store.withLock(record.id, LOCK_MS, async () => {
    const current = await store.read(record.id);
    // Stopped meanwhile, or started anew: that one isn't what was asked for.
    if (current?.marker !== record.marker) return undefined;
    const seen = await viewAttachment(current, context);
    // Without a pid the recorded number stands for no process or another one by now: it must not be signalled.
    const leader = seen.attachment.pid === undefined ? undefined : seen.record.leader;
    const ended = await endProcesses({ ...seen.record, leader }, context);
    if (ended.stillAlive.length === 0) await store.forget(record.id);
    log.info({ id: record.id, ...ended }, 'Ended dstack attach.');
    return { attachment: seen.attachment, ended };
  });
  if (stopped === undefined) throw busy(record.id);
  return stopped.value;
}

/** Ends the processes of an attachment and what they left behind; the record stays. */
export async function endProcesses(record: AttachmentRecord, { store, ssh }: ViewContext): Promise<Ended> {
  const saysDetached = async (): Promise<boolean> => {
    const { head, tail } = await viewOutput(store.outputFile(record.id));
    return readAttachOutput(`${head}\n${tail}`).detached;
  };
  return await endAttachment(record, { ssh, saysDetached });
}

/** The answer while another call or server is at the same attachment. */
export function busy(id: string): ToolError {
  return new ToolError(
    'busy',
    `The attachment ${id} is being started or stopped by another call; nothing was done.`,
    'Call attach with action status in a few seconds.',
  );
}

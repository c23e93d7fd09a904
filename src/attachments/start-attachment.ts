import { randomUUID } from 'node:crypto';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import { ToolError } from '../core/errors.ts';
import type { AttachmentRecord } from './attachment-store.ts';
import { viewAttachment } from './attachment-view.ts';
import type { Attachment, ViewContext } from './attachment-view.ts';

import type { ProcessIdentity } from './process-identity.ts';
import { spawnAttach } from './spawn-attach.ts';
import { busy, endProcesses, stopAttachment } from './stop-attachment.ts';
import type { StopContext } from './stop-attachment.ts';
import { pause } from '../core/poll.ts';

export interface AttachOptions {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
  /** Milliseconds from now by which it answers. */
  readonly deadlineMs: number;
  /** Cancelled: what this call started is ended again. */
  readonly signal?: AbortSignal | undefined;
  /** The run is a dev environment: wait for its link until the deadline, not just a moment. */
  readonly expectIdeLink?: boolean | undefined;
  /** Local port to port in the job, where known: a busy port's free mapping needs the latter. */
  readonly knownPorts?: readonly { readonly localPort: number; readonly remotePort: number }[] | undefined;
  readonly cwd?: string | undefined;
}

/** What starting came to; `attachment.state` says how it stands. */
export interface AttachStart {
  readonly attachment: Attachment;
  /** False when the same attachment was running already: it is the one that is given. */
  readonly started: boolean;
}

export interface StartContext extends StopContext {
  readonly executable: () => Promise<string>;
}

const WATCH_MS = 100;
/** A job's link comes with its first lines, right after dstack's own. */
const SETTLE_MS = 1200;
const BEFORE_DEADLINE_MS = 300;

/** The name of an attachment: what makes two of them the same. No other part of it is in dstack's names, so it can't be ambiguous. */
function attachmentId({
  run,
  project,
  replica,
  job,
}: Pick<AttachOptions, 'run' | 'project' | 'replica' | 'job'>): string {
  const part = replica === undefined && job === undefined ? '' : `.${job ?? 0}-${replica ?? 'any'}`;
  return `${run}${part}${project === undefined ? '' : `@${encodeURIComponent(project)}`}`;
}

/** Starts an attachment or joins the running one, and watches it until there is something to answer. */
export async function startAttachment(
  argv: CheckedArgv,
  options: AttachOptions,
  context: StartContext,
): Promise<AttachStart> {
  if (argv.command !== 'attach') throw new Error(`Not an attach: ${argv.command}`);
  const until = performance.now() + options.deadlineMs - BEFORE_DEADLINE_MS;
  const id = attachmentId(options);
  const begun = await context.store.withLock(id, options.deadlineMs - BEFORE_DEADLINE_MS, () =>
    startOrJoin(id, { argv, options, context }),
  );
  if (begun === undefined) throw busy(id);
  return await watch(begun.value, { until, options, context });
}

interface Begun {
  readonly record: AttachmentRecord;
  readonly started: boolean;
}

interface Order {
  readonly argv: CheckedArgv;
  readonly options: AttachOptions;
  readonly context: StartContext;
}

async function startOrJoin(id: string, { argv, options, context }: Order): Promise<Begun> {
  const { store, log } = context;
  const earlier = await store.read(id);
  if (earlier !== undefined) {
    const { attachment, record } = await viewAttachment(earlier, context);
    if (attachment.pid !== undefined) return { record, started: false };
    // What an attachment that was killed left behind would be used silently, with its old ports.
    await endProcesses({ ...record, leader: undefined }, context);
    await store.forget(id);
  }
  const { run, project, replica, job } = options;
  const record: AttachmentRecord = {
    version: 1,
    id,
    run,
    argv: [...argv.argv],
    marker: randomUUID(),
    createdAt: new Date().toISOString(),
    ...(project === undefined ? {} : { project }),
    ...(replica === undefined ? {} : { replica }),
    ...(job === undefined ? {} : { job }),
  };
  // Written first: a server that is killed right after the start leaves the mark by which the process is found.
  await store.write(record);
  let leader: ProcessIdentity | undefined;
  try {
    leader = await spawnAttach({
      executable: await context.executable(),
      argv: argv.argv,
      env: context.ssh.env,
      cwd: options.cwd ?? process.cwd(),
      marker: record.marker,
      outputFile: store.outputFile(id),
    });
    const withLeader = leader === undefined ? record : { ...record, leader };
    await store.write(withLeader);
    log.info({ id, pid: leader?.pid }, 'Started dstack attach.');
    return { record: withLeader, started: true };
  } catch (error) {
    // Without its record it would go on, known to nobody.
    await endProcesses({ ...record, leader }, context);
    await store.forget(id);
    throw error;
  }
}

interface Watch {
  readonly until: number;
  readonly options: AttachOptions;
  readonly context: StartContext;
}

async function watch({ record: begun, started }: Begun, { until, options, context }: Watch): Promise<AttachStart> {
  const viewContext: ViewContext =
    options.knownPorts === undefined ? context : { ...context, knownPorts: options.knownPorts };
  let record = begun;
  // One that was attached before has settled long ago.
  let attachedAt = started || begun.facts === undefined ? undefined : -Infinity;
  for (;;) {
    const seen = await viewAttachment(record, viewContext);
    const { attachment } = seen;
    record = seen.record;
    if (options.signal?.aborted === true) throw await cancelled(record, started, context);
    if (attachment.state.kind === 'attached') {
      attachedAt ??= performance.now();
      const isSettled = options.expectIdeLink !== true && performance.now() - attachedAt >= SETTLE_MS;
      if (isSettled || attachment.state.connection.ideLink !== undefined) return { attachment, started };
    } else if (attachment.state.kind !== 'waiting') return { attachment, started };
    if (performance.now() >= until) return { attachment, started };
    await pause(WATCH_MS, options.signal);
  }
}

async function cancelled(record: AttachmentRecord, started: boolean, context: StartContext): Promise<ToolError> {
  if (started) await stopAttachment(record, context);
  return new ToolError(
    'cancelled',
    started
      ? 'Attaching was cancelled and ended; the run goes on.'
      : 'The call was cancelled; the attachment was there before and goes on.',
    'Call attach again to attach.',
  );
}

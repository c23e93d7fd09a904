import { randomUUID } from 'node:crypto';
import type { CheckedArgv } from '../cli/command.ts';
import { ToolError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createAttachmentStore } from './attachment-store.ts';
import type { AttachmentRecord, AttachmentStore } from './attachment-store.ts';
import { dstackSshDirOf, viewAttachment } from './attachment-view.ts';
import type { Attachment, ViewContext } from './attachment-view.ts';
import { endAttachment } from './end-attachment.ts';
import type { Ended } from './end-attachment.ts';
import { withLock } from './exclusive-lock.ts';
import { rotateOutput, viewOutput } from './output-file.ts';
import { readAttachOutput } from './read-attach-output.ts';
import { spawnAttach } from './spawn-attach.ts';
import type { SshContext } from './ssh-tunnel.ts';
import { pause } from './wait-for.ts';

export interface AttachmentsOptions {
  /** Where the records and the output are kept, for the owner alone. */
  readonly stateDir: string;
  /** Finds the dstack executable. */
  readonly executable: () => Promise<string>;
  /** The whole environment of `dstack attach`. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  /** Beyond this an output file is rotated. */
  readonly maxOutputBytes?: number;
  readonly rotateEveryMs?: number;
}

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

/** What stopping came to. */
export interface AttachStop {
  /** As it was before. */
  readonly attachment: Attachment;
  readonly ended: Ended;
}

/** Attachments: `dstack attach` in the background, which outlives this server and is found again by the next one. */
export interface Attachments {
  /**
   * Attaches, and answers as soon as ports, alias and link are known, the run ended, attaching failed, or the deadline is near.
   * The same attachment twice is one, also between two servers.
   * @throws ToolError `cli-not-found`, `busy`, `cancelled`.
   */
  start(argv: CheckedArgv, options: AttachOptions): Promise<AttachStart>;
  /** The attachment of this id, or all of this run. */
  status(idOrRun: string): Promise<Attachment[]>;
  /** Ends the attachment of this id, or all of this run; the run itself goes on. Empty when there is none. */
  stop(idOrRun: string): Promise<AttachStop[]>;
  list(): Promise<Attachment[]>;
  /** Stops looking after the size of the output. The attachments go on. */
  close(): void;
}

const WATCH_MS = 100;
/** A job's link comes with its first lines, right after dstack's own. */
const SETTLE_MS = 1200;
const BEFORE_DEADLINE_MS = 300;
const LOCK_MS = 20_000;
const ROTATE_EVERY_MS = 5000;
const DEFAULT_MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
const FORGET_ENDED_AFTER_MS = 24 * 60 * 60 * 1000;

interface Context extends AttachmentsOptions, ViewContext {
  readonly store: AttachmentStore;
  readonly ssh: SshContext;
}

/** Creates the attachments of one state folder. */
export function createAttachments(options: AttachmentsOptions): Attachments {
  const context: Context = {
    ...options,
    store: createAttachmentStore(options.stateDir, options.log),
    ssh: { env: options.env, dstackSshDir: dstackSshDirOf(options.env) },
  };
  const timer = setInterval(() => {
    rotateAll(context).catch((error: unknown) =>
      options.log.warn({ error }, 'The output of attachments could not be rotated.'),
    );
  }, options.rotateEveryMs ?? ROTATE_EVERY_MS);
  timer.unref();
  return {
    start: (argv, startOptions) => start(argv, startOptions, context),
    status: async (idOrRun) => {
      const records = await findRecords(idOrRun, context);
      return await Promise.all(records.map(async (record) => (await viewAttachment(record, context)).attachment));
    },
    stop: async (idOrRun) => {
      const records = await findRecords(idOrRun, context);
      const stopped = await Promise.all(records.map((record) => stop(record, context)));
      return stopped.filter((result) => result !== undefined);
    },
    list: () => list(context),
    close: () => clearInterval(timer),
  };
}

/** The name of an attachment: what makes two of them the same. No other part of it is in dstack's names, so it can't be ambiguous. */
export function attachmentId({
  run,
  project,
  replica,
  job,
}: Pick<AttachOptions, 'run' | 'project' | 'replica' | 'job'>): string {
  const part = replica === undefined && job === undefined ? '' : `.${job ?? 0}-${replica ?? 'any'}`;
  return `${run}${part}${project === undefined ? '' : `@${encodeURIComponent(project)}`}`;
}

async function start(argv: CheckedArgv, options: AttachOptions, context: Context): Promise<AttachStart> {
  if (argv.command !== 'attach') throw new Error(`Not an attach: ${argv.command}`);
  const until = Date.now() + options.deadlineMs - BEFORE_DEADLINE_MS;
  const id = attachmentId(options);
  const begun = await withLock(context.store.lockFile(id), options.deadlineMs - BEFORE_DEADLINE_MS, () =>
    startOrJoin(id, { argv, options, context }),
  );
  if (begun === undefined) throw busy(id);
  return await watch(begun.value, { until, options, context });
}

interface Begun {
  readonly record: AttachmentRecord;
  readonly started: boolean;
}

interface StartContext {
  readonly argv: CheckedArgv;
  readonly options: AttachOptions;
  readonly context: Context;
}

async function startOrJoin(id: string, { argv, options, context }: StartContext): Promise<Begun> {
  const { store, log } = context;
  const earlier = await store.read(id);
  if (earlier !== undefined) {
    const { attachment, record } = await viewAttachment(earlier, context);
    if (attachment.pid !== undefined) return { record, started: false };
    // What an attachment that was killed left behind would be used silently, with its old ports.
    await end({ ...record, leader: undefined }, context);
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
  try {
    const leader = await spawnAttach({
      executable: await context.executable(),
      argv: argv.argv,
      env: context.env,
      cwd: options.cwd ?? process.cwd(),
      marker: record.marker,
      outputFile: store.outputFile(id),
    });
    const withLeader = leader === undefined ? record : { ...record, leader };
    await store.write(withLeader);
    log.info({ id, pid: leader?.pid }, 'Started dstack attach.');
    return { record: withLeader, started: true };
  } catch (error) {
    await store.forget(id);
    throw error;
  }
}

interface Watch {
  readonly until: number;
  readonly options: AttachOptions;
  readonly context: Context;
}

async function watch({ record: begun, started }: Begun, { until, options, context }: Watch): Promise<AttachStart> {
  const viewContext: ViewContext =
    options.knownPorts === undefined ? context : { ...context, knownPorts: options.knownPorts };
  let record = begun;
  // One that was attached before has settled long ago.
  let attachedAt = started || begun.facts === undefined ? undefined : 0;
  for (;;) {
    const seen = await viewAttachment(record, viewContext);
    const { attachment } = seen;
    record = seen.record;
    if (options.signal?.aborted === true) throw await cancelled(record, started, context);
    if (attachment.state.kind === 'attached') {
      attachedAt ??= Date.now();
      const isSettled = options.expectIdeLink !== true && Date.now() - attachedAt >= SETTLE_MS;
      if (isSettled || attachment.state.connection.ideLink !== undefined) return { attachment, started };
    } else if (attachment.state.kind !== 'waiting') return { attachment, started };
    if (Date.now() >= until) return { attachment, started };
    await pause(WATCH_MS, options.signal);
  }
}

async function cancelled(record: AttachmentRecord, started: boolean, context: Context): Promise<ToolError> {
  if (started) await stop(record, context);
  return new ToolError(
    'cancelled',
    started
      ? 'Attaching was cancelled and ended; the run goes on.'
      : 'The call was cancelled; the attachment was there before and goes on.',
    'Call attach again to attach.',
  );
}

async function stop(record: AttachmentRecord, context: Context): Promise<AttachStop | undefined> {
  const { store, log } = context;
  const stopped = await withLock(store.lockFile(record.id), LOCK_MS, async () => {
    const current = await store.read(record.id);
    // Stopped meanwhile, or started anew: that one isn't what was asked for.
    if (current?.marker !== record.marker) return undefined;
    const seen = await viewAttachment(current, context);
    // Without a pid the recorded number stands for no process or another one by now: it must not be signalled.
    const leader = seen.attachment.pid === undefined ? undefined : seen.record.leader;
    const ended = await end({ ...seen.record, leader }, context);
    if (ended.stillAlive.length === 0) await store.forget(record.id);
    log.info({ id: record.id, ...ended }, 'Ended dstack attach.');
    return { attachment: seen.attachment, ended };
  });
  if (stopped === undefined) throw busy(record.id);
  return stopped.value;
}

async function end(record: AttachmentRecord, { store, ssh }: Context): Promise<Ended> {
  const saysDetached = async (): Promise<boolean> => {
    const { head, tail } = await viewOutput(store.outputFile(record.id));
    return readAttachOutput(`${head}\n${tail}`).detached;
  };
  return await endAttachment(record, { ssh, saysDetached });
}

async function findRecords(idOrRun: string, { store }: Context): Promise<AttachmentRecord[]> {
  const records = await store.list();
  const exact = records.filter(({ id }) => id === idOrRun);
  return exact.length > 0 ? exact : records.filter(({ run }) => run === idOrRun);
}

async function list(context: Context): Promise<Attachment[]> {
  const records = await context.store.list();
  const seen = await Promise.all(records.map((record) => viewAttachment(record, context)));
  const old = seen.filter(
    ({ record: { endedAt } }) => endedAt !== undefined && Date.now() - Date.parse(endedAt) > FORGET_ENDED_AFTER_MS,
  );
  await Promise.all(old.map(({ record }) => stop(record, context)));
  return seen.filter((one) => !old.includes(one)).map(({ attachment }) => attachment);
}

async function rotateAll({
  store,
  log,
  maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES,
  ...context
}: Context): Promise<void> {
  for (const record of await store.list()) {
    // What the output says is learned before its beginning goes.
    const rotated = await withLock(store.lockFile(record.id), 0, async () => {
      await viewAttachment(record, { ...context, store });
      return await rotateOutput(store.outputFile(record.id), maxOutputBytes);
    });
    if (rotated?.value === true) log.debug({ id: record.id }, 'Rotated the output of an attachment.');
  }
}

function busy(id: string): ToolError {
  return new ToolError(
    'busy',
    `The attachment ${id} is being started or stopped by another call; nothing was done.`,
    'Call attach with action status in a few seconds.',
  );
}

import type { CheckedArgv } from '../dstack/argv/command.ts';
import { ToolError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { createAttachmentStore, isSystemError, rotateOutput, sizeOf, isUnused, removeUse } from './attachment-store.ts';
import type { AttachmentRecord } from './attachment-store.ts';
import { findUnrecorded } from './attachment-processes.ts';
import { dstackSshDirOf, viewAttachment } from './attachment-view.ts';
import type { Attachment } from './attachment-view.ts';
import { startAttachment } from './start-attachment.ts';
import type { AttachOptions, AttachStart, StartContext } from './start-attachment.ts';
import { stopAttachment } from './stop-attachment.ts';
import type { AttachStop } from './stop-attachment.ts';

export interface AttachmentsOptions {
  /** The folder for records and output, readable by its owner only. */
  readonly stateDir: string;
  /** Finds the dstack executable. */
  readonly executable: () => Promise<string>;
  /** The whole environment of `dstack attach`. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  /** The size at which an output file is rotated. */
  readonly maxOutputBytes?: number;
  readonly rotateEveryMs?: number;
}

/** `dstack attach` processes in the background, which outlive this server and are found by the next one. */
export interface Attachments {
  /**
   * Attaches, and returns as soon as ports, alias and link are known, the run ended, attaching failed, or the deadline is near.
   * Joins the same attachment if it is already running, even under another server.
   * @throws ToolError `cli-not-found`, `busy`, `cancelled`, `state-unavailable`.
   */
  start(argv: CheckedArgv, options: AttachOptions): Promise<AttachStart>;
  /** Returns the attachment with this id, or all attachments of this run. */
  status(idOrRun: string): Promise<Attachment[]>;
  /** Stops the attachment with this id, or all attachments of this run. The run itself continues. */
  stop(idOrRun: string): Promise<AttachStop[]>;
  list(): Promise<Attachment[]>;
  /** Forgets that this server uses a temporary attachment, and stops it if nobody else does. */
  release(id: string): Promise<void>;
  /** Stops looking after them. The attachments continue. */
  close(): void;
}

const ROTATE_EVERY_MS = 5000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
const FORGET_ENDED_AFTER_MS = 24 * 60 * 60 * 1000;

interface Context extends StartContext {
  readonly maxOutputBytes: number;
}

/** Creates the attachments of one state folder. */
export function createAttachments(options: AttachmentsOptions): Attachments {
  const {
    stateDir,
    executable,
    env,
    log,
    maxOutputBytes = MAX_OUTPUT_BYTES,
    rotateEveryMs = ROTATE_EVERY_MS,
  } = options;
  const store = createAttachmentStore(stateDir, log);
  const ssh = { env, dstackSshDir: dstackSshDirOf(env) };
  const context: Context = { store, ssh, executable, log, maxOutputBytes };
  const timer = setInterval(() => {
    lookAfterAll(context).catch((error: unknown) => log.warn({ error }, 'Could not look after the attachments.'));
  }, rotateEveryMs);
  timer.unref();
  return {
    start: (argv, startOptions) => mapFileSystemErrors(() => startAttachment(argv, startOptions, context)),
    status: (idOrRun) =>
      mapFileSystemErrors(async () => {
        const records = await findRecords(idOrRun, context);
        return await Promise.all(records.map(async (record) => (await viewAttachment(record, context)).attachment));
      }),
    stop: (idOrRun) =>
      mapFileSystemErrors(async () => {
        const records = await findRecords(idOrRun, context);
        const stopped = await Promise.all(records.map((record) => stopAttachment(record, context)));
        return stopped.filter((result) => result !== undefined);
      }),
    list: () => mapFileSystemErrors(() => list(context)),
    release: (id) =>
      mapFileSystemErrors(async () => {
        await removeUse(id, store);
        const record = await store.read(id);
        if (record !== undefined) await stopIfUnused(record, context);
      }),
    close: () => clearInterval(timer),
  };
}

/** Reports file system errors as `state-unavailable` instead of `internal`. */
async function mapFileSystemErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new ToolError(
      'state-unavailable',
      `Cannot access the attachments folder: ${error.message}. Nothing was changed.`,
      'Tell the user. doctor shows the state folder.',
      { cause: error },
    );
  }
}

async function listRecords({ store }: Context): Promise<AttachmentRecord[]> {
  const recorded = await store.list();
  return [...recorded, ...(await findUnrecorded(store.folder, recorded))];
}

async function findRecords(idOrRun: string, context: Context): Promise<AttachmentRecord[]> {
  const records = await listRecords(context);
  const exact = records.filter(({ id }) => id === idOrRun);
  return exact.length > 0 ? exact : records.filter(({ run }) => run === idOrRun);
}

async function list(context: Context): Promise<Attachment[]> {
  const records = await listRecords(context);
  const seen = await Promise.all(records.map((record) => viewAttachment(record, context)));
  const old = seen.filter(
    ({ record: { endedAt } }) => endedAt !== undefined && Date.now() - Date.parse(endedAt) > FORGET_ENDED_AFTER_MS,
  );
  await Promise.all(old.map(({ record }) => stopAttachment(record, context)));
  return seen.filter((one) => !old.includes(one)).map(({ attachment }) => attachment);
}

/** Stops a temporary attachment that nobody uses. */
async function stopIfUnused(record: AttachmentRecord, context: Context): Promise<boolean> {
  if (!(await isUnused(record, context.store))) return false;
  return (await stopAttachment(record, context, (current) => isUnused(current, context.store))) !== undefined;
}

/** Looks at the SSH connection of each attachment, and rotates its output. Stops what a killed server has left. */
async function lookAfterAll(context: Context): Promise<void> {
  const { store, log, maxOutputBytes } = context;
  for (const record of await store.list()) {
    if (await stopIfUnused(record, context)) continue;
    if (record.endedAt === undefined && record.tunnelEndedAt === undefined) {
      const { record: now } = await viewAttachment(record, context);
      if (now.tunnelEndedAt !== undefined)
        log.warn({ id: record.id }, 'The SSH connection of an attachment has ended.');
    }
    const file = store.outputFile(record.id);
    if ((await sizeOf(file)) <= maxOutputBytes) continue;
    const rotated = await store.withLock(record.id, 0, async () => {
      // Stores the facts from the output before its beginning is removed.
      await viewAttachment(record, context);
      return await rotateOutput(file, maxOutputBytes);
    });
    if (rotated?.value === true) log.debug({ id: record.id }, 'Rotated the output of an attachment.');
  }
}

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

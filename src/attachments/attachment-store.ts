import { readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { withLock } from '../core/exclusive-lock.mjs';
import type { Log } from '../core/log.ts';
import { writePrivateFile } from '../safety/files/write-private-file.ts';
import { lookUpProcess } from './process-identity.ts';

const identitySchema = z.object({ pid: z.int().positive(), startedAt: z.string().min(1) });

const portSchema = z.object({ host: z.string(), localPort: z.int(), remotePort: z.int() });

/** What was learned from the output; kept, since the output's beginning may be rotated away. */
const factsSchema = z.object({
  target: z.object({ run: z.string(), replica: z.int(), job: z.int() }),
  sshAlias: z.string().optional(),
  ports: z.array(portSchema),
  ideLink: z.object({ scheme: z.string(), url: z.string() }).optional(),
  sshConfigNotWritten: z.boolean(),
});

/** The SSH master that dstack left in the background, and whether this attachment started it. */
const tunnelSchema = z.object({
  controlSocket: z.string(),
  destination: z.string(),
  master: identitySchema,
  owned: z.boolean(),
});

const recordSchema = z.object({
  version: z.literal(1),
  id: z.string(),
  run: z.string(),
  project: z.string().optional(),
  replica: z.int().optional(),
  job: z.int().optional(),
  /** The words after `dstack`. */
  argv: z.array(z.string()),
  /** In the environment of everything that belongs to this attachment. */
  marker: z.string(),
  createdAt: z.string(),
  /** Missing between the decision to start and the start. */
  leader: identitySchema.optional(),
  facts: factsSchema.optional(),
  tunnel: tunnelSchema.optional(),
  endedAt: z.string().optional(),
});

/** What is on the disk about one attachment. */
export type AttachmentRecord = z.output<typeof recordSchema>;
export type AttachmentFacts = z.output<typeof factsSchema>;
export type Tunnel = z.output<typeof tunnelSchema>;

/** The attachments' files: one record each, so that two servers over one folder never overwrite each other's. */
export interface AttachmentStore {
  readonly folder: string;
  /**
   * Undefined when there is none. A record that can't be read is set aside, and the log says so.
   * @throws ToolError `state-unavailable` for one of another version of this server, which is left where it is.
   */
  read(id: string): Promise<AttachmentRecord | undefined>;
  /** Replaces the record as a whole or not at all. */
  write(record: AttachmentRecord): Promise<void>;
  /** All but those of another version, which the log names. */
  list(): Promise<AttachmentRecord[]>;
  /** Removes the record and the output. */
  forget(id: string): Promise<void>;
  outputFile(id: string): string;
  /**
   * Does `work` while no other call and no other server works on the attachment. Returns undefined if another one keeps it until the
   * deadline.
   */
  withLock<T>(id: string, deadlineMs: number, work: () => Promise<T>): Promise<{ readonly value: T } | undefined>;
}

/** Opens the store; its folder is made when it is first written to, for its owner alone. */
export function createAttachmentStore(stateDir: string, log: Log): AttachmentStore {
  const folder = path.join(stateDir, 'attachments');
  const file = (id: string, ending: string): string => path.join(folder, `${id}.${ending}`);
  const read = async (id: string): Promise<AttachmentRecord | undefined> => {
    const recordFile = file(id, 'json');
    try {
      return parseRecord(await readFile(recordFile, 'utf8'), id);
    } catch (error) {
      if (isMissing(error)) return undefined;
      // Only what is wrong with the record itself: a good one must not go because there was no descriptor left to open it.
      if (error instanceof ToolError || (isSystemError(error) && error.code !== 'EISDIR')) throw error;
      await setAside(recordFile, { error, log });
      return undefined;
    }
  };
  const told = new Set<string>();
  const readOrSkip = async (id: string): Promise<AttachmentRecord | undefined> =>
    await read(id).catch((error: unknown) => {
      if (!(error instanceof ToolError)) throw error;
      // The list is looked at every few seconds.
      if (!told.has(id)) log.warn({ id }, error.message);
      told.add(id);
      return undefined;
    });
  return {
    folder,
    read,
    write: async (record) => {
      await writePrivateFile(file(record.id, 'json'), `${JSON.stringify(record, undefined, 2)}\n`);
    },
    list: async () => {
      const names = await readdir(folder).catch((error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      });
      const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
      const records = await Promise.all(ids.sort().map(readOrSkip));
      return records.filter((record) => record !== undefined);
    },
    forget: async (id) => {
      await Promise.all(['json', 'log', 'log.1'].map((ending) => rm(file(id, ending), { force: true })));
    },
    outputFile: (id) => file(id, 'log'),
    withLock: (id, deadlineMs, work) => withLock(file(id, 'lock'), { deadlineMs, startTimeOf }, work),
  };
}

let ownStartTime: Promise<string | undefined> | undefined;

/** Looking a process up starts a program on macOS and Windows: once is enough for this one. */
function startTimeOf(pid: number): Promise<string | undefined> {
  const lookUp = async (): Promise<string | undefined> => (await lookUpProcess(pid))?.startedAt;
  return pid === process.pid ? (ownStartTime ??= lookUp()) : lookUp();
}

const anyVersion = z.looseObject({ version: z.int() });

function parseRecord(text: string, id: string): AttachmentRecord {
  const json: unknown = JSON.parse(text);
  const { version } = anyVersion.parse(json);
  if (version === recordSchema.shape.version.value) return recordSchema.parse(json);
  throw new ToolError(
    'state-unavailable',
    `The attachment ${id} was made by another version of this server, and was left as it is.`,
    'Tell the user: the version that made it shows and ends it.',
  );
}

async function setAside(recordFile: string, { error, log }: { error: unknown; log: Log }): Promise<void> {
  const aside = `${recordFile}.broken-${Date.now()}`;
  await rename(recordFile, aside).catch(() => undefined);
  log.warn({ error, aside }, 'A record of an attachment could not be read and was set aside.');
}

/** True for an error of the operating system. */
export function isSystemError(error: unknown): error is Error & { readonly code: unknown } {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

/** True for the error of a file that isn't there. */
export function isMissing(error: unknown): boolean {
  return isSystemError(error) && error.code === 'ENOENT';
}

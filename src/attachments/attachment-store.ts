import { mkdir, open, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ToolError, codeOf } from '../core/errors.ts';
import { withLock } from '../core/exclusive-lock.mjs';
import type { Log } from '../core/log.ts';
import { readPrivateFile, writePrivateFile } from '../safety/files/private-files.ts';
import { attachmentsFolder } from '../settings/installation.ts';
import { isAlive, lookUpProcess } from '../dstack/run/processes.ts';

const identitySchema = z.object({ pid: z.int().positive(), startedAt: z.string().min(1) });

const portSchema = z.object({ host: z.string(), localPort: z.int(), remotePort: z.int() });

/** Facts from the output. Stored, because rotation may remove the beginning of the output. */
const factsSchema = z.object({
  target: z.object({ run: z.string(), replica: z.int(), job: z.int() }),
  sshAlias: z.string().optional(),
  ports: z.array(portSchema),
  ideLink: z.object({ scheme: z.string(), url: z.string() }).optional(),
  sshConfigNotWritten: z.boolean(),
});

/** The SSH master that dstack leaves in the background, and whether this attachment started it. */
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
  /** The arguments of `dstack`. */
  argv: z.array(z.string()),
  /** Marks the environment of every process of this attachment. */
  marker: z.string(),
  createdAt: z.string(),
  /** Missing between the decision to start and the start. */
  leader: identitySchema.optional(),
  facts: factsSchema.optional(),
  tunnel: tunnelSchema.optional(),
  /** Made for programs of this server only: it ends with its last use. */
  temporary: z.literal(true).optional(),
  /** When the SSH master was found to have ended before dstack. */
  tunnelEndedAt: z.string().optional(),
  endedAt: z.string().optional(),
});

/** The stored record of an attachment. */
export type AttachmentRecord = z.output<typeof recordSchema>;
export type AttachmentFacts = z.output<typeof factsSchema>;
export type Tunnel = z.output<typeof tunnelSchema>;

/** The files of attachments: one record each, so that two servers with one folder never overwrite each other's records. */
export interface AttachmentStore {
  readonly folder: string;
  /**
   * Reads a record; undefined if there is none. Moves an unreadable record aside and logs that.
   * @throws ToolError `state-unavailable` for a record of another version of this server, which is kept.
   */
  read(id: string): Promise<AttachmentRecord | undefined>;
  /** Replaces the record atomically. */
  write(record: AttachmentRecord): Promise<void>;
  /** Returns all records except those of another version, which are logged. */
  list(): Promise<AttachmentRecord[]>;
  /** Removes the record and the output. */
  forget(id: string): Promise<void>;
  outputFile(id: string): string;
  /** The folder for those who use a temporary attachment. */
  usesFolder(id: string): string;
  /**
   * Runs `work` while no other call or server works on the attachment. Returns undefined if another one keeps the lock until the
   * deadline.
   */
  withLock<T>(id: string, deadlineMs: number, work: () => Promise<T>): Promise<{ readonly value: T } | undefined>;
}

/** Opens the store. Creates its folder on the first write, for its owner only. */
export function createAttachmentStore(stateDir: string, log: Log): AttachmentStore {
  const folder = attachmentsFolder(stateDir);
  const file = (id: string, ending: string): string => path.join(folder, `${id}.${ending}`);
  const read = async (id: string): Promise<AttachmentRecord | undefined> => {
    const recordFile = file(id, 'json');
    try {
      return parseRecord(readPrivateFile(recordFile).toString(), id);
    } catch (error) {
      if (isMissing(error)) return undefined;
      // Only a broken record is moved aside, not a good one that can't be opened, for example for lack of file descriptors.
      if (error instanceof ToolError || (isSystemError(error) && error.code !== 'EISDIR')) throw error;
      await moveAside(recordFile, { error, log });
      return undefined;
    }
  };
  const logged = new Set<string>();
  const readOrSkip = async (id: string): Promise<AttachmentRecord | undefined> =>
    await read(id).catch((error: unknown) => {
      if (!(error instanceof ToolError)) throw error;
      // The list is read every few seconds.
      if (!logged.has(id)) log.warn({ id }, error.message);
      logged.add(id);
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
      const files = ['json', 'log', 'log.1', 'uses'].map((ending) => file(id, ending));
      await Promise.all(files.map((one) => rm(one, { recursive: true, force: true })));
    },
    outputFile: (id) => file(id, 'log'),
    usesFolder: (id) => file(id, 'uses'),
    withLock: (id, deadlineMs, work) => withLock(file(id, 'lock'), { deadlineMs, startTimeOf }, work),
  };
}

let ownStartTime: Promise<string | undefined> | undefined;

/** Caches the start time of this process: a look-up starts a program on macOS and Windows. */
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
    `The attachment ${id} was created by another version of this server. Nothing was changed.`,
    'Tell the user to show or stop it with the version that created it.',
  );
}

async function moveAside(recordFile: string, { error, log }: { error: unknown; log: Log }): Promise<void> {
  const aside = `${recordFile}.broken-${Date.now()}`;
  await rename(recordFile, aside).catch(() => undefined);
  log.warn({ error, aside }, 'The record of an attachment could not be read and was moved aside.');
}

/** Returns true for an error of the operating system. */
export function isSystemError(error: unknown): error is Error & { readonly code: unknown } {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

const HEAD_BYTES = 256 * 1024;
const TAIL_BYTES = 16 * 1024;

/** The beginning and the end of an attachment's output. */
export interface OutputView {
  readonly head: string;
  readonly tail: string;
  readonly bytes: number;
  readonly isMissing: boolean;
}

/** Reads both ends of an output file; both are empty if there is none. */
export async function viewOutput(file: string): Promise<OutputView> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (handle === undefined) return { head: '', tail: '', bytes: 0, isMissing: true };
  try {
    const { size } = await handle.stat();
    const head = await readPart(handle, 0, Math.min(size, HEAD_BYTES));
    const tail = size <= HEAD_BYTES ? head.slice(-TAIL_BYTES) : await readPart(handle, size - TAIL_BYTES, TAIL_BYTES);
    return { head, tail, bytes: size, isMissing: false };
  } finally {
    await handle.close();
  }
}

/** Returns the size of a file in bytes; 0 if there is none. */
export async function sizeOf(file: string): Promise<number> {
  return await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/**
 * Rotates an output file beyond `maxBytes` while it is being written: moves its end to `<file>.1` and truncates it. The writer must have
 * opened it in append mode. Output written during the rotation is lost. Returns false if no rotation was needed.
 */
export async function rotateOutput(file: string, maxBytes: number): Promise<boolean> {
  if ((await sizeOf(file)) <= maxBytes) return false;
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const kept = Math.min(size, maxBytes);
    await writeFile(`${file}.1.tmp`, await readBytes(handle, size - kept, kept), { mode: 0o600 });
  } finally {
    await handle.close();
  }
  await rename(`${file}.1.tmp`, `${file}.1`);
  await truncate(file, 0);
  return true;
}

async function readPart(handle: FileHandle, position: number, length: number): Promise<string> {
  return (await readBytes(handle, position, length)).toString('utf8');
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

// A temporary attachment has one file for each server that uses it, named after its process ID and with its start time, so that a killed
// server doesn't count. Once a user attaches, too, it is the user's: the file `user` keeps it.

/** The name of the file of a user. */
const USER = 'user';

export type Use = 'user' | 'session';

/** Remembers that this server, or the user, uses an attachment. Nothing to remember if it isn't temporary: it is the user's anyway. */
export async function addUse(
  { id, temporary }: Pick<AttachmentRecord, 'id' | 'temporary'>,
  use: Use,
  store: Pick<AttachmentStore, 'usesFolder'>,
): Promise<void> {
  if (temporary !== true) return;
  const folder = store.usesFolder(id);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const startedAt = use === 'user' ? '' : (await lookUpProcess(process.pid))?.startedAt;
  await writePrivateFile(path.join(folder, use === 'user' ? USER : String(process.pid)), startedAt ?? '');
}

/** Forgets that this server uses an attachment. */
export async function removeUse(id: string, store: Pick<AttachmentStore, 'usesFolder'>): Promise<void> {
  await rm(path.join(store.usesFolder(id), String(process.pid)), { force: true });
}

/** Whether an attachment is temporary and nobody uses it anymore. */
export async function isUnused(
  { id, temporary }: Pick<AttachmentRecord, 'id' | 'temporary'>,
  store: Pick<AttachmentStore, 'usesFolder'>,
): Promise<boolean> {
  if (temporary !== true) return false;
  const folder = store.usesFolder(id);
  const names = await readdir(folder).catch(() => []);
  const uses = await Promise.all(names.map((name) => isUse(folder, name)));
  return !uses.includes(true);
}

async function isUse(folder: string, name: string): Promise<boolean> {
  if (name !== USER && !/^\d+$/.test(name)) return false;
  const startedAt = readUse(path.join(folder, name));
  if (startedAt === undefined) return false;
  if (name === USER) return true;
  return isAlive({ pid: Number(name), startedAt });
}

/** Returns what a use says; undefined if somebody else may have written it. */
function readUse(file: string): string | undefined {
  try {
    return readPrivateFile(file).toString();
  } catch {
    return undefined;
  }
}

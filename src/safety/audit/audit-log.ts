import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import type { ConsentLevel, PendingChange } from '../../core/change.ts';
import { ToolError, messageOf } from '../../core/errors.ts';
import { toAsciiJson } from '../../core/values.ts';
import type { Limit } from '../../core/values.ts';
import { MASK } from '../../render/mask-secrets.ts';
import { makePrivateFolder } from '../files/private-files.ts';

/** One line of the audit log. All lines of one change have the same `id`. */
export interface AuditEntry {
  readonly id: string;
  /**
   * `planned`: a plan that sends more than the configuration. It is written before anything is sent. `started` and `ended`: a command, a
   * transfer or a request. `revoked`: the consent to use a run.
   */
  readonly event: 'planned' | 'asked' | 'refused' | 'approved' | 'done' | 'started' | 'ended' | 'revoked';
  readonly tool: string;
  /** The id of the call in the log of this process (`pid`). */
  readonly call?: string | undefined;
  /** The start of the process that wrote the line: later processes can have its `pid`. */
  readonly processStartedAt?: string | undefined;
  readonly operation: string;
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  readonly argv: readonly string[];
  /** The whole command and its standard input in a run: there, `argv` may be cut, and is masked by who writes it. */
  readonly text?: Fingerprint | undefined;
  readonly input?: Fingerprint | undefined;
  /** SHA-256 of the files that affect the change. */
  readonly files: Readonly<Record<string, string>>;
  readonly pricePerHour: number | null;
  readonly totalPrice?: Limit | undefined;
  /** Everything that planning sent to the dstack server; names, never values. */
  readonly sends?: readonly string[] | undefined;
  readonly level?: ConsentLevel | undefined;
  readonly outcome?: string | undefined;
  readonly why?: string | undefined;
  readonly durationMs?: number | undefined;
  readonly exitCode?: number | undefined;
  readonly bytes?: number | undefined;
}

/** Identifies a text that isn't in the log. */
export interface Fingerprint {
  readonly sha256: string;
  readonly bytes: number;
}

/** Receives the lines of the audit log. */
export interface AuditSink {
  /** @throws ToolError `audit-unavailable` if the line can't be written. */
  write(entry: AuditEntry): void;
}

export interface AuditLogOptions {
  /** A dedicated folder. It is created if necessary and kept private. */
  readonly folder: string;
  /** Masks known secrets. */
  readonly redact: (text: string) => string;
  readonly maxBytes?: number | undefined;
  readonly keepFiles?: number | undefined;
  readonly now?: () => Date;
}

/** An audit log in a file. */
interface AuditLog extends AuditSink {
  readonly file: string;
}

/** The file that lines are appended to. */
export const AUDIT_FILE = 'audit.jsonl';
/** The files that were full, oldest first by name. */
export const FULL_AUDIT_FILE = /^audit-[0-9TZ]+-[0-9a-f-]+\.jsonl$/;

/**
 * Creates the audit log: one line of JSON per event, each appended with a single write, so that several servers can share the folder.
 * Lines are written synchronously and before the change, so the log never lags behind what was done.
 */
export function createAuditLog({
  folder,
  redact,
  maxBytes = 5_000_000,
  keepFiles = 10,
  now = (): Date => new Date(),
}: AuditLogOptions): AuditLog {
  const file = path.join(folder, AUDIT_FILE);
  return {
    file,
    write(entry) {
      try {
        makePrivateFolder(folder);
        const size = append(file, toLine(entry, now(), redact));
        if (size >= maxBytes) rotate({ folder, file, keepFiles, now: now() });
      } catch (error) {
        const reason = messageOf(error);
        throw new ToolError(
          'audit-unavailable',
          `The audit log can't be written, so nothing was changed: ${redact(reason)}`,
          'Tell the user; doctor shows the folder.',
          { cause: error },
        );
      }
    },
  };
}

function toLine(entry: AuditEntry, time: Date, redact: (text: string) => string): Buffer {
  const argv = entry.text === undefined ? maskArgv(entry.argv) : entry.argv;
  const masked = { time: time.toISOString(), pid: process.pid, ...entry, argv };
  const json = JSON.stringify(masked, (_key, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  return Buffer.from(`${toAsciiJson(json)}\n`);
}

const SECRET_FLAGS = new Set(['-t', '--token', '--password']);

/** Masks the values of variables and of flags that carry secrets. */
function maskArgv(argv: readonly string[]): string[] {
  return argv.map((word, index) => {
    if (SECRET_FLAGS.has(argv[index - 1] ?? '')) return MASK;
    return word.replace(/^((?:--env=|-e)?[A-Za-z_][A-Za-z0-9_]*|--token|--password)=.*$/s, `$1=${MASK}`);
  });
}

/** Appends a line with a single write, and returns the new size of the file. */
function append(file: string, line: Buffer): number {
  const flags =
    constants.O_RDWR |
    constants.O_APPEND |
    constants.O_CREAT |
    (constants.O_NOFOLLOW ?? 0) |
    (constants.O_NONBLOCK ?? 0);
  const fd = openSync(file, flags, 0o600);
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${file} is not a regular file`);
    if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) fchmodSync(fd, 0o600);
    // After a line that was cut short (disk full), the next one starts on a new line. If another server does the same at the same time,
    // an empty line results, but never a lost one.
    const bytes = isCutShort(fd, found.size) ? Buffer.concat([Buffer.from('\n'), line]) : line;
    if (writeSync(fd, bytes) !== bytes.length) throw new Error(`only a part of the line could be written to ${file}`);
    return found.size + bytes.length;
  } finally {
    closeSync(fd);
  }
}

function isCutShort(fd: number, size: number): boolean {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

/** Renames the full file to a unique name: no line is ever overwritten. */
function rotate({
  folder,
  file,
  keepFiles,
  now,
}: {
  folder: string;
  file: string;
  keepFiles: number;
  now: Date;
}): void {
  try {
    const full = readdirSync(folder)
      .filter((name) => FULL_AUDIT_FILE.test(name))
      .sort();
    const name = `audit-${stampAfter(full.at(-1) ?? '', now)}-${process.pid}-${randomBytes(3).toString('hex')}.jsonl`;
    renameSync(file, path.join(folder, name));
    full.push(name);
    for (const old of full.slice(0, Math.max(0, full.length - keepFiles)))
      rmSync(path.join(folder, old), { force: true });
  } catch {
    // Another server was faster, or the folder doesn't allow it. The line is written, and the file keeps growing.
  }
}

const STAMP = /^audit-(\d{4})(\d\d)(\d\d)(T\d\d)(\d\d)(\d\d)(\d{3}Z)-.*$/;

/** Returns the time for the name of a full file. After the clock was set back, it must not sort as the oldest, which is deleted first. */
function stampAfter(newest: string, now: Date): string {
  const before = Date.parse(newest.replace(STAMP, '$1-$2-$3$4:$5:$6.$7'));
  const time = Number.isNaN(before) ? now.getTime() : Math.max(now.getTime(), before + 1);
  return new Date(time).toISOString().replace(/[^0-9TZ]/g, '');
}

/** Creates the line for an event of a change. */
export function auditEntry(
  id: string,
  change: PendingChange,
  what: Pick<AuditEntry, 'event' | 'level' | 'outcome' | 'why' | 'durationMs'>,
): AuditEntry {
  const { binding } = change;
  return {
    id,
    ...what,
    tool: binding.tool,
    operation: change.operation,
    resource: binding.resource,
    project: binding.project,
    server: binding.server,
    argv: change.argv,
    files: binding.files,
    pricePerHour: binding.pricePerHour,
    totalPrice: change.summary.totalPrice,
    sends: change.summary.sends,
  };
}

import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { ToolError } from '../../core/errors.ts';
import type { PendingChange, ConsentLevel } from '../../core/change.ts';

export interface AuditLogOptions {
  /** A folder of its own: it is made if need be, and kept private. */
  readonly folder: string;
  /** Masks the secrets that the server knows. */
  readonly redact: (text: string) => string;
  readonly maxBytes?: number | undefined;
  readonly keepFiles?: number | undefined;
  readonly now?: () => Date;
}

/** Where the lines go, beside what writes them. */
export interface AuditLog extends AuditSink {
  readonly file: string;
}

const FILE = 'audit.jsonl';
const FULL_FILE = /^audit-[0-9TZ]+-[0-9a-f-]+\.jsonl$/;

/**
 * Creates the audit log: one line of JSON per event, appended by one write each, so that several servers can share the folder.
 * Written at once and before the change, so what is in the log is never later than what was done.
 */
export function createAuditLog({
  folder,
  redact,
  maxBytes = 5_000_000,
  keepFiles = 10,
  now = (): Date => new Date(),
}: AuditLogOptions): AuditLog {
  const file = path.join(folder, FILE);
  return {
    file,
    write(entry) {
      try {
        makePrivateFolder(folder);
        const size = append(file, toLine(entry, now(), redact));
        if (size >= maxBytes) rotate({ folder, file, keepFiles, now: now() });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new ToolError(
          'audit-unavailable',
          `The line for the audit log can't be written, so nothing was changed: ${redact(reason)}`,
          'Tell the user; the doctor tool names the folder.',
          { cause: error },
        );
      }
    },
  };
}

function toLine(entry: AuditEntry, time: Date, redact: (text: string) => string): Buffer {
  const masked = { time: time.toISOString(), pid: process.pid, ...entry, argv: maskArgv(entry.argv) };
  const json = JSON.stringify(masked, (_key, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  // ASCII alone: nothing in a line can move a terminal or hide from a reader.
  return Buffer.from(
    `${json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`,
  );
}

const SECRET_FLAGS = new Set(['-t', '--token', '--password']);

/** The argv without the values of variables and of flags that carry secrets. */
function maskArgv(argv: readonly string[]): string[] {
  return argv.map((word, index) => {
    if (SECRET_FLAGS.has(argv[index - 1] ?? '')) return '[masked]';
    return word.replace(/^((?:--env=|-e)?[A-Za-z_][A-Za-z0-9_]*|--token|--password)=.*$/s, '$1=[masked]');
  });
}

function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw new Error(`${folder} is not a folder`);
  if (process.platform === 'win32') return;
  if (found.uid !== process.getuid?.()) throw new Error(`${folder} belongs to another user`);
  if ((found.mode & 0o077) !== 0) chmodSync(folder, 0o700);
}

/** Appends a line by one write, and gives the size of the file after it. */
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
    // After a line that was cut short (a full disk), the next one starts on its own. Another server may do so at the same time: an empty line then, never a lost one.
    const bytes = endsOpen(fd, found.size) ? Buffer.concat([Buffer.from('\n'), line]) : line;
    if (writeSync(fd, bytes) !== bytes.length) throw new Error(`${file} took only a part of the line`);
    return found.size + bytes.length;
  } finally {
    closeSync(fd);
  }
}

function endsOpen(fd: number, size: number): boolean {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

/** Moves the full file aside under a name of its own: no line is ever overwritten. */
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
      .filter((name) => FULL_FILE.test(name))
      .sort();
    const name = `audit-${stampAfter(full.at(-1) ?? '', now)}-${process.pid}-${randomBytes(3).toString('hex')}.jsonl`;
    renameSync(file, path.join(folder, name));
    full.push(name);
    for (const old of full.slice(0, Math.max(0, full.length - keepFiles)))
      rmSync(path.join(folder, old), { force: true });
  } catch {
    // Another server was faster, or the folder doesn't allow it: the line is written, and the file goes on growing.
  }
}

const STAMP = /^audit-(\d{4})(\d\d)(\d\d)(T\d\d)(\d\d)(\d\d)(\d{3}Z)-.*$/;

/** The time for the name of a file that is moved aside. After a clock was set back it must not look like the oldest, which goes first. */
function stampAfter(newest: string, now: Date): string {
  const before = Date.parse(newest.replace(STAMP, '$1-$2-$3$4:$5:$6.$7'));
  const time = Number.isNaN(before) ? now.getTime() : Math.max(now.getTime(), before + 1);
  return new Date(time).toISOString().replace(/[^0-9TZ]/g, '');
}

/** One line of the audit log. `id` is the same for all lines of one change. */
export interface AuditEntry {
  readonly id: string;
  readonly event: 'asked' | 'refused' | 'approved' | 'done';
  readonly tool: string;
  /** The call that it happened in, as the log of this process (`pid`) names it. */
  readonly call?: string | undefined;
  readonly operation: string;
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  readonly argv: readonly string[];
  /** SHA-256 of the files that decide what happens. */
  readonly files: Readonly<Record<string, string>>;
  readonly pricePerHour: number | null;
  readonly totalPrice?: number | undefined;
  readonly level?: ConsentLevel | undefined;
  readonly outcome?: string | undefined;
  readonly why?: string | undefined;
  readonly durationMs?: number | undefined;
}

/** Where the lines of the audit log go. */
export interface AuditSink {
  /** @throws ToolError `audit-unavailable` when the line can't be written. */
  write(entry: AuditEntry): void;
}

/** The line for something that happened to a change. */
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
  };
}

import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Transform } from 'node:stream';
import { joinWords } from '../core/values.ts';

/** A program for a job: constant text of this server, in POSIX sh. Everything else travels as data. */
export interface RemoteProgram {
  /** Constant text. `$1`… are the data. It may neither `exec` nor set a trap for `EXIT`. */
  readonly script: string;
  /** Passed as `$1`…: encoded on the way, so that no shell on the way can read it as anything else. No NUL. */
  readonly data: readonly string[];
}

/** The shell in the job that leads the session, and so the process group, of a program. */
export interface RemoteLeader {
  readonly pid: number;
  /** In clock ticks since the boot of its machine: a pid is reused, a pid with its start time isn't. */
  readonly startedAt: string;
}

export type RemoteEnd =
  | { readonly kind: 'exited'; readonly exitCode: number }
  /** The shared connection doesn't exist, or it accepts no further session: nothing reached the job. */
  | { readonly kind: 'not-started'; readonly message: string }
  /** It ended without an exit code: it was ended, or the connection was. Nothing is known about the program. */
  | { readonly kind: 'lost'; readonly message: string };

export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles once the program has started in the job; undefined if it ended before it reported that. */
  readonly leader: Promise<RemoteLeader | undefined>;
  /** Settles when the program has ended. Its output may be unread then, and may be held open by processes that it left. */
  readonly ended: Promise<RemoteEnd>;
  /** Closes the connection of this program. */
  kill(): void;
}

export interface RemoteStart {
  readonly signal: AbortSignal;
  /** An open file that the program reads, from its position. */
  readonly stdin?: number;
  /** An open file that its output is written to. It has all of it once `ended` settles. */
  readonly stdout?: number;
}

/** Runs programs in one job, over the master connection of its attachment. */
export interface RemoteShell {
  /** A descriptor takes the place of a stream that is empty then, so that no byte passes through this process. @throws RangeError if script and data together are larger than what a system accepts as an argument */
  start(program: RemoteProgram, options: RemoteStart): RemoteProcess;
}

/** The shell of the run, and what every call of it needs. */
export interface InRun {
  readonly shell: RemoteShell;
  readonly signal: AbortSignal;
}

/** The result of a short program of this server. */
export interface ProgramResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly end: RemoteEnd;
  /** It printed more than `maxBytes`, and was given up. */
  readonly isTooLong: boolean;
}

export interface ProgramOptions {
  /** Defaults to no limit: then `signal` has to end it. */
  readonly timeoutMs?: number | undefined;
  readonly stdin?: string;
  readonly signal?: AbortSignal | undefined;
  /** A program of the run that prints more is not ours. Defaults to 256 KiB. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 256 * 1024;

/** Runs a short program, and ends its connection after `timeoutMs`. Too much output ends it, too. */
export async function callProgram(
  shell: RemoteShell,
  program: RemoteProgram,
  { timeoutMs, stdin = '', signal, maxBytes = MAX_BYTES }: ProgramOptions,
): Promise<ProgramResult> {
  const timeout = timeoutMs === undefined ? [] : [AbortSignal.timeout(Math.max(0, Math.ceil(timeoutMs)))];
  const signals = [...timeout, ...(signal === undefined ? [] : [signal])];
  const process = shell.start(program, { signal: AbortSignal.any(signals) });
  let isTooLong = false;
  const giveUp = (): void => {
    isTooLong = true;
    process.kill();
    // Processes that the program left can hold its output open.
    process.stdout.destroy();
    process.stderr.destroy();
  };
  // A program that ended early doesn't read: its exit code is the error.
  process.stdin.on('error', () => undefined);
  process.stdin.end(stdin);
  const [stdout, stderr, end] = await Promise.all([
    readAtMost(process.stdout, maxBytes, giveUp),
    readAtMost(process.stderr, Math.max(maxBytes, MAX_BYTES), giveUp),
    process.ended,
  ]);
  return { stdout, stderr: stderr.toString(), end, isTooLong };
}

async function readAtMost(stream: Readable, maxBytes: number, giveUp: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else giveUp();
  });
  // It is cut off if the program is given up; how that ended is in its end.
  await finished(stream).catch(() => undefined);
  return Buffer.concat(chunks);
}

/** Reads the process IDs that a program printed; not more than a person can look at. */
export const readPids = (words: readonly string[]): readonly number[] =>
  words
    .filter((word) => /^\d{1,10}$/.test(word))
    .slice(0, 20)
    .map(Number);

// What precedes every program. It reports on standard error when the program starts and how it ends: ssh's own exit
// status 255 doesn't distinguish a lost connection from a program that ended with 255 or by a signal. A command in a non-login session
// has neither the variables of its run nor its folder: dstack's runner writes them to a profile.
const PROLOGUE = `
if [ -r /dstack/profile ]; then . /dstack/profile; elif [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null
dstack_mcp_start() { shift 19; printf '\\036%s start %s %s\\036' "$dstack_mcp_mark" $$ "$1" >&2; }
read -r dstack_mcp_word </proc/$$/stat
dstack_mcp_start \${dstack_mcp_word##*) }
trap 'printf "\\036%s exit %s\\036" "$dstack_mcp_mark" $? >&2' EXIT
`;

/** Linux accepts no longer single argument (MAX_ARG_STRLEN), neither here nor in the job. */
const MAX_COMMAND_BYTES = 131_072 - 1_024;

/**
 * Returns the command that runs a program, for any login shell: POSIX shells, csh and fish read it alike. The whole program with its data
 * is one word of base64; only the `sh` that runs it reads the data, as quoted words. It becomes the leader of the session. `mark` is in
 * what the prologue reports.
 * @throws RangeError if it is too long, or if data contain a NUL
 */
export function remoteCommand({ script, data }: RemoteProgram, mark: string): string {
  if (data.some((text) => text.includes('\0'))) throw new RangeError('Data for a program must not contain a NUL.');
  // After the profile, which could replace them.
  const words = `set -- ${joinWords(data)}\n`;
  const encoded = Buffer.from(`dstack_mcp_mark=${mark}${PROLOGUE}${words}${script}`).toString('base64');
  const command = `exec sh -c 'eval "$(printf %s "$0" | base64 -d)"' ${encoded}`;
  if (command.length > MAX_COMMAND_BYTES) throw new RangeError('The program and its data are too long.');
  return command;
}

/** A report of the prologue is short. */
const MAX_REPORT_BYTES = 100;

/** The reports of the prologue: a pid with its start time, and the exit code of a shell. */
const REPORT = /^(?:start \d{1,10} \d{0,20}|exit (?:\d{1,2}|1\d\d|2[0-4]\d|25[0-5]))$/;

/**
 * Creates a stream that removes the prologue's reports from standard error and passes their words on. A report begins with a mark that is
 * random, so that no output of a program is mistaken for one. A program of the run can find the mark and forge a report: one that the
 * prologue can't have written stays in the stream.
 */
export function createReportFilter(mark: string, onReport: (words: readonly string[]) => void): Transform {
  const start = Buffer.from(`\u001e${mark} `);
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (;;) {
        const at = rest.indexOf(start);
        const end = at === -1 ? -1 : rest.indexOf(0x1e, at + start.length);
        if (end === -1) break;
        const report = rest.toString('latin1', at + start.length, end);
        const isReport = REPORT.test(report);
        this.push(rest.subarray(0, isReport ? at : end));
        if (isReport) onReport(report.split(' '));
        // The end of what isn't a report may be the beginning of one.
        rest = rest.subarray(isReport ? end + 1 : end);
      }
      // The last bytes may be the beginning of a report.
      const from = rest.indexOf(0x1e, Math.max(0, rest.length - MAX_REPORT_BYTES));
      held = from === -1 ? Buffer.alloc(0) : rest.subarray(from);
      this.push(from === -1 ? rest : rest.subarray(0, from));
      done();
    },
    flush(done) {
      this.push(held);
      done();
    },
  });
}

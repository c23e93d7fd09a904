import { randomUUID } from 'node:crypto';
import { closeSync, createWriteStream, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transcript } from '../../core/transcript.ts';
import { within } from '../../core/waiting.ts';
import type { OutputSink } from './runner.ts';

/** The output of a command. */
export type CommandOutput = Pick<Transcript, 'stdout' | 'stderr' | 'omittedBytes'>;

/** Returns the output with `\n` at the end of each line, on Windows too. */
export function toPrinted(
  stdout: BoundedText,
  stderr: BoundedText,
  platform: NodeJS.Platform = process.platform,
): CommandOutput {
  const withLineEnds = (text: string): string => (platform === 'win32' ? text.replaceAll('\r\n', '\n') : text);
  return {
    stdout: withLineEnds(stdout.text),
    stderr: withLineEnds(stderr.text),
    omittedBytes: stdout.omittedBytes + stderr.omittedBytes,
  };
}

/** The longest that a process outside the ended group can delay a finished command by keeping its pipes open. */
const DRAIN_MS = 500;

/** Collects the output of a process from its pipes. Call `drain` once the process has ended. */
export function collectPipes(
  pipes: { stdout: Readable | null; stderr: Readable | null },
  keepBytes: number,
  sink?: OutputSink,
): { drain(): Promise<CommandOutput> } {
  const collect = (stream: Readable | null) => {
    const kept = createBoundedOutput(keepBytes);
    stream?.on('data', (chunk: Buffer) => kept.add(chunk));
    return { kept, stream, ended: stream === null ? Promise.resolve() : finished(stream).catch(() => undefined) };
  };
  if (sink !== undefined) pipes.stdout?.on('data', (chunk: Buffer) => sink.write(chunk));
  const both = [collect(pipes.stdout), collect(pipes.stderr)] as const;
  return {
    async drain() {
      await within(DRAIN_MS, Promise.all(both.map(({ ended }) => ended)));
      // On a busy event loop, the timer can fire before data that is already in the pipes is read.
      await nextTurn();
      for (const { stream } of both) stream?.destroy();
      return toPrinted(both[0].kept.finish(), both[1].kept.finish());
    },
  };
}

/** The two files that a change writes to. Unlike pipes, they let it finish after this process has gone. */
export interface OutputFiles {
  readonly streams: { readonly stdout: Writable; readonly stderr: Writable };
  read(): CommandOutput;
  close(): void;
}

/** Opens files for the output of a change. @throws Error if the disk doesn't allow it */
export function openOutputFiles(keepBytes: number): OutputFiles {
  const stdout = openOutputFile();
  const stderr = openOrClose(stdout);
  return {
    streams: { stdout: stdout.stream, stderr: stderr.stream },
    read: () => toPrinted(stdout.read(keepBytes), stderr.read(keepBytes)),
    close() {
      stdout.close();
      stderr.close();
    },
  };
}

interface OutputFile {
  /** For the process to write to, by its descriptor. */
  readonly stream: Writable;
  read(keepBytes: number): BoundedText;
  close(): void;
}

function openOrClose(first: OutputFile): OutputFile {
  try {
    return openOutputFile();
  } catch (error) {
    first.close();
    throw error;
  }
}

const CHUNK_BYTES = 65_536;

/** Opens a file that only this user can read, already unlinked where the platform allows it. */
function openOutputFile(): OutputFile {
  const file = path.join(tmpdir(), `dstack-output-${randomUUID()}`);
  const fd = openSync(file, 'wx+', 0o600);
  let named = !tryUnlink(file);
  return {
    // A stream only because execa accepts no descriptor above 9; nothing is written through it here.
    stream: createWriteStream(file, { fd, autoClose: false }),
    read(keepBytes) {
      const kept = createBoundedOutput(keepBytes);
      const chunk = Buffer.alloc(CHUNK_BYTES);
      // By position: the file's own offset belongs to the writer.
      const { size } = fstatSync(fd);
      for (let at = 0; at < size;) {
        const length = readSync(fd, chunk, 0, Math.min(CHUNK_BYTES, size - at), at);
        if (length === 0) break;
        kept.add(chunk.subarray(0, length));
        at += length;
      }
      return kept.finish();
    },
    close() {
      closeSync(fd);
      if (named) named = !tryUnlink(file);
    },
  };
}

/** Windows keeps the name of an open file, so it is unlinked once closed. */
function tryUnlink(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch {
    return false;
  }
}

/** Text that was cut between characters. If anything is missing, a line in its place says how much. */
interface BoundedText {
  readonly text: string;
  readonly omittedBytes: number;
}

/** Collects a stream; keeps only its two ends if it is larger than `keepBytes`. */
interface BoundedOutput {
  add(chunk: Uint8Array): void;
  finish(): BoundedText;
}

/** Creates a collector that keeps at most about `keepBytes` in memory, however much arrives. */
export function createBoundedOutput(keepBytes: number): BoundedOutput {
  const headLimit = Math.ceil(keepBytes / 2);
  const tailLimit = Math.floor(keepBytes / 2);
  const head: Buffer[] = [];
  let tail: Buffer[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let dropped = 0;

  const addTail = (chunk: Buffer): void => {
    tail.push(chunk);
    tailBytes += chunk.length;
    // Joins many small chunks occasionally, so that dropping from the front stays cheap.
    if (tailBytes <= tailLimit * 2 && tail.length < 1024) return;
    const whole = Buffer.concat(tail);
    const kept = whole.subarray(Math.max(0, whole.length - tailLimit));
    dropped += whole.length - kept.length;
    tail = [Buffer.from(kept)];
    tailBytes = kept.length;
  };
  return {
    add(chunk) {
      const bytes = Buffer.from(chunk);
      const room = Math.min(bytes.length, headLimit - headBytes);
      if (room > 0) {
        head.push(bytes.subarray(0, room));
        headBytes += room;
      }
      if (room < bytes.length) addTail(bytes.subarray(room));
    },
    finish() {
      const first = Buffer.concat(head);
      const rest = Buffer.concat(tail);
      if (dropped === 0 && rest.length <= tailLimit)
        return { text: Buffer.concat([first, rest]).toString('utf8'), omittedBytes: 0 };
      const end = lastBoundary(first);
      const from = firstBoundary(rest, Math.max(0, rest.length - tailLimit));
      const omittedBytes = dropped + from + (first.length - end);
      const mark = `\n[... ${omittedBytes} bytes left out here ...]\n`;
      return { text: first.toString('utf8', 0, end) + mark + rest.toString('utf8', from), omittedBytes };
    },
  };
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Returns the end of the last complete UTF-8 character. */
export function lastBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** Returns the start of the first complete UTF-8 character at or after `from`. */
function firstBoundary(bytes: Buffer, from: number): number {
  let at = from;
  while (at < from + 3 && isContinuation(bytes[at])) at++;
  return at;
}

/** One line of a log without its line ending, reduced to its last progress-bar state. */
export interface LogLine {
  /** Starts at 1. */
  readonly number: number;
  readonly text: string;
  /** Whether the line exceeded the limit. Its middle is missing, and the text says so. */
  readonly cut: boolean;
}

export interface LineTotals {
  readonly lines: number;
  readonly bytes: number;
  readonly foldedStates: number;
}

const MAX_LINE_CHARS = 8192;
const CUT_END_CHARS = 1024;

/** Splits a stream of bytes into lines of bounded length, in bounded memory. */
export function createLineSplitter(onLine: (line: LogLine) => void): {
  readonly write: (chunk: Uint8Array) => void;
  readonly end: () => LineTotals;
} {
  const decoder = new TextDecoder();
  let bytes = 0;
  let number = 0;
  let foldedStates = 0;
  let pending = createPendingLine();
  const finishLine = (): void => {
    number += 1;
    foldedStates += pending.overwritten();
    onLine({ number, ...pending.finish() });
    pending = createPendingLine();
  };
  const take = (text: string): void => {
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const piece = text.slice(start, end);
      // The fast path for nearly all lines: a log of 100 MB has a million of them.
      if (pending.isUntouched() && piece.length <= MAX_LINE_CHARS && !piece.includes('\r')) {
        number += 1;
        onLine({ number, text: piece, cut: false });
      } else {
        pending.add(piece);
        finishLine();
      }
      start = end + 1;
    }
    pending.add(text.slice(start));
  };
  return {
    write: (chunk) => {
      bytes += chunk.byteLength;
      take(decoder.decode(chunk, { stream: true }));
    },
    end: () => {
      take(decoder.decode());
      if (!pending.isEmpty()) finishLine();
      return { lines: number, bytes, foldedStates };
    },
  };
}

/** Accumulates an incomplete line: its last state on a terminal, without the middle beyond the limit. */
function createPendingLine() {
  let head = '';
  let tail = '';
  let dropped = 0;
  let overwritten = 0;
  let returned = false;
  const append = (state: string): void => {
    if (returned && head !== '') overwritten += 1;
    if (returned) [head, tail, dropped, returned] = ['', '', 0, false];
    const room = MAX_LINE_CHARS - head.length;
    head += state.slice(0, room);
    tail += state.slice(room);
    const excess = Math.max(0, tail.length - CUT_END_CHARS);
    dropped += excess;
    tail = tail.slice(excess);
  };
  return {
    add(piece: string): void {
      for (const [index, state] of piece.split('\r').entries()) {
        returned ||= index > 0;
        if (state !== '') append(state);
      }
    },
    isEmpty: () => head === '',
    isUntouched: () => head === '' && !returned,
    overwritten: () => overwritten,
    finish: () => ({
      text: dropped === 0 ? head + tail : `${head}[... ${dropped} characters cut ...]${tail}`,
      cut: dropped > 0,
    }),
  };
}

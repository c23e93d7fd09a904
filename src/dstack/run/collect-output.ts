import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { createBoundedOutput } from './bounded-output.ts';
import { openOutputFile } from './output-file.ts';
import type { OutputFile } from './output-file.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { OutputSink } from './runner.ts';

/** What a command has printed. */
export type Printed = Pick<Transcript, 'stdout' | 'stderr' | 'omittedBytes'>;

/** How long a process outside of the ended group may hold up a finished command by keeping its pipes open. */
const DRAIN_MS = 500;

/** Collects what comes through the pipes of a process; `drain` is called when the process has ended. */
export function collectPipes(
  pipes: { stdout: Readable | null; stderr: Readable | null },
  keepBytes: number,
  sink?: OutputSink,
): { drain(): Promise<Printed> } {
  const collect = (
    stream: Readable | null,
  ): { ended: Promise<unknown>; stream: Readable | null; kept: ReturnType<typeof createBoundedOutput> } => {
    const kept = createBoundedOutput(keepBytes);
    stream?.on('data', (chunk: Buffer) => kept.add(chunk));
    return { kept, stream, ended: stream === null ? Promise.resolve() : finished(stream).catch(() => undefined) };
  };
  if (sink !== undefined) pipes.stdout?.on('data', (chunk: Buffer) => sink.write(chunk));
  const both = [collect(pipes.stdout), collect(pipes.stderr)] as const;
  return {
    async drain() {
      const late = new AbortController();
      const all = Promise.all(both.map(({ ended }) => ended));
      await Promise.race([all, delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
      // After a busy spell the timer comes before what is already in the pipes.
      await nextTurn();
      for (const { stream } of both) stream?.destroy();
      return toPrinted(both[0].kept.finish(), both[1].kept.finish());
    },
  };
}

/** The two files that a change writes to. */
export interface OutputFiles {
  readonly streams: { readonly stdout: Writable; readonly stderr: Writable };
  read(): Printed;
  close(): void;
}

/** Opens files for the output of a change, which may go on when nobody reads it any more. @throws Error where the disk doesn't allow it */
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

function openOrClose(first: OutputFile): OutputFile {
  try {
    return openOutputFile();
  } catch (error) {
    first.close();
    throw error;
  }
}

interface Kept {
  readonly text: string;
  readonly omittedBytes: number;
}

const toPrinted = (stdout: Kept, stderr: Kept): Printed => ({
  stdout: stdout.text,
  stderr: stderr.text,
  omittedBytes: stdout.omittedBytes + stderr.omittedBytes,
});

import { ToolError } from '../../core/errors.ts';

/** The failure of a call. */
export interface Fault {
  /** dstack's own message. */
  readonly message: string;
  readonly hint: string;
  /** Whether the same call may succeed soon (the server is busy or unreachable). If not, it fails for the same inputs every time. */
  readonly transient: boolean;
}

/** Prevents a failed read (or plan) from being repeated unchanged. A change can't be repeated anyway: its token is spent. */
export interface RetryGuard {
  /** @throws ToolError `retry-refused` */
  assertMayRun(key: string): void;
  /**
   * Records the result of a call: a failure that the same call would meet again, or undefined. The key identifies the command, its inputs
   * and its file's bytes.
   */
  record(key: string, fault: Fault | undefined): void;
  /** Records that something was changed (a fleet created, a run stopped), so that failed calls may succeed now. */
  worldChanged(): void;
}

interface RetryGuardOptions {
  /** Returns the time of a monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

type Entry =
  | { readonly kind: 'permanent'; readonly fault: Fault; readonly untilMs: number }
  | {
      readonly kind: 'transient';
      readonly fault: Fault;
      readonly failures: number;
      readonly untilMs: number;
      readonly forgetAtMs: number;
    };

const PERMANENT_MS = 10 * 60_000;
const MAX_ENTRIES = 500;
const FIRST_PAUSE_MS = 1_000;
/** Short: a call must not be refused long after the server is well again. */
const MAX_PAUSE_MS = 10_000;

/** Creates a guard that remembers a bounded number of calls. */
export function createRetryGuard(options: RetryGuardOptions = {}): RetryGuard {
  const now = options.now ?? ((): number => performance.now());
  const entries = new Map<string, Entry>();

  const remember = (key: string, entry: Entry): void => {
    // Deleted first, so that the order is that of the last failure.
    entries.delete(key);
    entries.set(key, entry);
    if (entries.size <= MAX_ENTRIES) return;
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
  };

  return {
    assertMayRun(key) {
      const entry = entries.get(key);
      if (entry !== undefined && now() < entry.untilMs) throw refusal(entry, now());
    },
    record(key, fault) {
      if (fault === undefined) entries.delete(key);
      else remember(key, toEntry(fault, { before: entries.get(key), nowMs: now() }));
    },
    worldChanged() {
      for (const [key, entry] of entries) if (entry.kind === 'permanent') entries.delete(key);
    },
  };
}

interface EntryContext {
  readonly before: Entry | undefined;
  readonly nowMs: number;
}

function toEntry(fault: Fault, { before, nowMs }: EntryContext): Entry {
  if (!fault.transient) return { kind: 'permanent', fault, untilMs: nowMs + PERMANENT_MS };
  const failures = before?.kind === 'transient' && nowMs < before.forgetAtMs ? before.failures + 1 : 1;
  const untilMs = nowMs + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return { kind: 'transient', fault, failures, untilMs, forgetAtMs: untilMs + PERMANENT_MS };
}

function refusal(entry: Entry, nowMs: number): ToolError {
  const { fault } = entry;
  if (entry.kind === 'transient') {
    const seconds = Math.ceil((entry.untilMs - nowMs) / 1000);
    return new ToolError(
      'retry-refused',
      `The same call has just failed: ${fault.message}`,
      `Wait ${seconds} s, then try again. ${fault.hint}`,
    );
  }
  return new ToolError(
    'retry-refused',
    `The same call failed before, and it fails every time with the same flags and file, so it was not repeated. dstack said: ${fault.message}`,
    `${fault.hint} Change the flags or the file before you call again.`,
  );
}

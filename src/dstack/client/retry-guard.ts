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
  /** Returns why the call with this key may not run now; undefined if it may. */
  check(key: string): ToolError | undefined;
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

export interface RetryGuardOptions {
  /** Returns the time of a monotonic clock, in milliseconds. */
  readonly now?: () => number;
  readonly permanentMs?: number;
  readonly maxEntries?: number;
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

const FIRST_PAUSE_MS = 1_000;
/** Short: a call must not be refused long after the server is well again. */
const MAX_PAUSE_MS = 10_000;

/** Creates a guard that remembers a bounded number of calls. */
export function createRetryGuard(options: RetryGuardOptions = {}): RetryGuard {
  const now = options.now ?? ((): number => performance.now());
  const permanentMs = options.permanentMs ?? 10 * 60_000;
  const maxEntries = options.maxEntries ?? 500;
  const entries = new Map<string, Entry>();

  const check = (key: string): ToolError | undefined => {
    const entry = entries.get(key);
    return entry === undefined ? undefined : refuse(entry, now());
  };

  const remember = (key: string, entry: Entry): void => {
    // Deleted first, so that the order is that of the last failure.
    entries.delete(key);
    entries.set(key, entry);
    if (entries.size <= maxEntries) return;
    const [oldest] = entries.keys();
    if (oldest !== undefined) entries.delete(oldest);
  };

  return {
    check,
    assertMayRun(key) {
      const refusal = check(key);
      if (refusal !== undefined) throw refusal;
    },
    record(key, fault) {
      if (fault === undefined) entries.delete(key);
      else remember(key, toEntry(fault, { before: entries.get(key), nowMs: now(), permanentMs }));
    },
    worldChanged() {
      for (const [key, entry] of entries) if (entry.kind === 'permanent') entries.delete(key);
    },
  };
}

interface EntryContext {
  readonly before: Entry | undefined;
  readonly nowMs: number;
  readonly permanentMs: number;
}

function toEntry(fault: Fault, { before, nowMs, permanentMs }: EntryContext): Entry {
  if (!fault.transient) return { kind: 'permanent', fault, untilMs: nowMs + permanentMs };
  const failures = before?.kind === 'transient' && nowMs < before.forgetAtMs ? before.failures + 1 : 1;
  const untilMs = nowMs + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return { kind: 'transient', fault, failures, untilMs, forgetAtMs: untilMs + permanentMs };
}

function refuse(entry: Entry, nowMs: number): ToolError | undefined {
  const { fault } = entry;
  if (nowMs >= entry.untilMs) return undefined;
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

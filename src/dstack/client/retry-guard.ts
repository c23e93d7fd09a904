import { ToolError } from '../../core/errors.ts';

/** How a call failed. */
export interface Fault {
  /** What dstack said. */
  readonly message: string;
  readonly hint: string;
  /** True where the same call may go well later (server unreachable, time-out). */
  readonly transient: boolean;
}

/** Keeps a reading call (a plan included) that failed from being made again as it was. A change can't be: its token is spent. */
export interface RetryGuard {
  /** Why the call with this key may not be made now; undefined where it may. */
  check(key: string): ToolError | undefined;
  /** @throws ToolError `retry-refused` */
  assertMayRun(key: string): void;
  /** What came of a call; undefined for one that went well. The key stands for the command, its inputs and the bytes of its file. */
  record(key: string, fault: Fault | undefined): void;
  /** Something was changed (a fleet created, a run stopped): what couldn't be done before may be done now. */
  worldChanged(): void;
}

export interface RetryGuardOptions {
  /** Milliseconds, of a clock that only goes forward. */
  readonly now?: () => number;
  readonly permanentMs?: number;
  readonly maxEntries?: number;
}

type Entry =
  | { readonly kind: 'permanent'; readonly fault: Fault; readonly untilMs: number }
  | {
      readonly kind: 'passing';
      readonly fault: Fault;
      readonly failures: number;
      readonly untilMs: number;
      readonly forgetAtMs: number;
    };

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** Creates the guard. It remembers a bounded number of calls. */
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
    // Set anew, so that the order is that of the last failure.
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
      if (fault === undefined) {
        entries.delete(key);
      } else if (fault.transient) {
        const before = entries.get(key);
        const failures = before?.kind === 'passing' && now() < before.forgetAtMs ? before.failures + 1 : 1;
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
        remember(key, {
          kind: 'passing',
          fault,
          failures,
          untilMs: now() + pauseMs,
          forgetAtMs: now() + pauseMs + permanentMs,
        });
      } else {
        remember(key, { kind: 'permanent', fault, untilMs: now() + permanentMs });
      }
    },
    worldChanged() {
      for (const [key, entry] of entries) if (entry.kind === 'permanent') entries.delete(key);
    },
  };
}

function refuse(entry: Entry, nowMs: number): ToolError | undefined {
  const { fault } = entry;
  if (nowMs >= entry.untilMs) return undefined;
  if (entry.kind === 'passing') {
    const seconds = Math.ceil((entry.untilMs - nowMs) / 1000);
    return new ToolError(
      'retry-refused',
      `The same call failed just now: ${fault.message}`,
      `Wait ${seconds} s, then try once more. ${fault.hint}`,
    );
  }
  return new ToolError(
    'retry-refused',
    `The same call failed before, and nothing has changed since, so it wasn't made again. What dstack said: ${fault.message}`,
    `${fault.hint} The same call is let through once the file, the flags or what is there has changed.`,
  );
}

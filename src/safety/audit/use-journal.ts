import { randomUUID } from 'node:crypto';
import { messageOf } from '../../core/system-error.ts';
import type { ConsentLevel } from '../../core/change.ts';
import { CommandFailed } from '../../core/report.ts';
import { MASK } from '../../render/mask-places.ts';
import type { AuditEntry, AuditSink } from './audit-log.ts';

/** One use of a run: a command, a transfer or a request. */
export interface RecordedUse {
  readonly tool: 'exec' | 'copy' | 'request';
  readonly operation: 'exec' | 'upload' | 'download' | 'request';
  readonly run: string;
  readonly project: string;
  readonly server: string;
  /** The command, what is copied to where, or the request. */
  readonly text: string;
  /** The level of its consent; absent if it needs none. */
  readonly level?: ConsentLevel | undefined;
}

/** The end of a use. */
export interface UseEnd {
  readonly outcome: string;
  readonly why?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly bytes?: number | undefined;
}

/** Longer texts are cut: a line of the log must not become as large as a file. */
const MAX_TEXT = 2_000;

/** Writes the audit lines about uses of runs: one before, and one after. */
export class UseJournal {
  readonly #audit: AuditSink;

  constructor(audit: AuditSink) {
    this.#audit = audit;
  }

  /**
   * Does something, with a line before and one after it. `describe` says how it ended, unless it throws.
   * @throws ToolError `audit-unavailable` if the first line can't be written: nothing is done then. It is done by the time of the second
   */
  async record<T>(use: RecordedUse, work: () => Promise<T>, describe: (result: T) => UseEnd): Promise<T> {
    const id = randomUUID();
    this.#audit.write({ ...lineOf(use), id, event: 'started' });
    const startedAt = performance.now();
    const end = (how: UseEnd): void => {
      const durationMs = Math.round(performance.now() - startedAt);
      this.#tryWrite({ ...lineOf(use), ...how, durationMs, id, event: 'ended' });
    };
    let result: T;
    try {
      result = await work();
    } catch (error) {
      const outcome = error instanceof CommandFailed ? error.report.outcome : 'failed';
      end({ outcome, why: messageOf(error) });
      throw error;
    }
    end(describe(result));
    return result;
  }

  /** Records that the consent to use a run was revoked. It is revoked either way. */
  revoked({ run, project, server }: Pick<RecordedUse, 'run' | 'project' | 'server'>): void {
    const line = lineOf({ tool: 'exec', operation: 'exec', run, project, server, text: '' });
    this.#tryWrite({ ...line, operation: 'access', id: randomUUID(), event: 'revoked' });
  }

  #tryWrite(entry: AuditEntry): void {
    try {
      this.#audit.write(entry);
    } catch {
      // The next change or use is refused until the log can be written again.
    }
  }
}

const lineOf = ({
  tool,
  operation,
  run,
  project,
  server,
  text,
  level,
}: RecordedUse): Omit<AuditEntry, 'id' | 'event'> => ({
  tool,
  operation,
  resource: { kind: 'run', name: run },
  project,
  server,
  argv: splitWords(text.slice(0, MAX_TEXT)),
  files: {},
  pricePerHour: null,
  level,
});

/** Splits a command into words, with their quotes: the values of variables and of some flags are masked word by word. */
const splitWords = (text: string): readonly string[] =>
  text.replace(/\b(Bearer|Basic)\s+[^\s"']+/gi, `$1 ${MASK}`).match(/(?:"[^"]*"?|'[^']*'?|[^\s"'])+/g) ?? [];

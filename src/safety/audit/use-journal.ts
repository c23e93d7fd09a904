import { randomUUID } from 'node:crypto';
import type { ConsentLevel } from '../../core/change.ts';
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
  readonly durationMs?: number | undefined;
}

/** Longer texts are cut: a line of the log must not become as large as a file. */
const MAX_TEXT = 2_000;

/** Writes the audit lines about uses of runs: one before, and one after. */
export class UseJournal {
  readonly #audit: AuditSink;

  constructor(audit: AuditSink) {
    this.#audit = audit;
  }

  /** Records that it starts, and returns the id for its end. @throws ToolError `audit-unavailable`: it must not be done then */
  started(use: RecordedUse): string {
    const id = randomUUID();
    this.#audit.write({ ...lineOf(use), id, event: 'started' });
    return id;
  }

  /** Records its end. Returns false if the line couldn't be written: it is done by then. */
  ended(id: string, use: RecordedUse, end: UseEnd): boolean {
    return this.#tryWrite({ ...lineOf(use), ...end, id, event: 'ended' });
  }

  /** Records that the consent to use a run was revoked. It is revoked either way. */
  revoked({ run, project, server }: Pick<RecordedUse, 'run' | 'project' | 'server'>): void {
    const line = lineOf({ tool: 'exec', operation: 'exec', run, project, server, text: '' });
    this.#tryWrite({ ...line, operation: 'access', id: randomUUID(), event: 'revoked' });
  }

  #tryWrite(entry: AuditEntry): boolean {
    try {
      this.#audit.write(entry);
      return true;
    } catch {
      return false;
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

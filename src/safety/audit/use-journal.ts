import { randomUUID } from 'node:crypto';
import type { ConsentLevel } from '../../core/change.ts';
import { messageOf } from '../../core/errors.ts';
import { CommandFailed } from '../../core/report.ts';
import { sha256 } from '../../core/values.ts';
import { MASK } from '../../render/mask-secrets.ts';
import type { AuditEntry, AuditSink, Fingerprint } from './audit-log.ts';

/** One use of a run: a command, a transfer or a request. */
export interface RecordedUse {
  readonly tool: 'exec' | 'copy' | 'request';
  readonly operation: 'exec' | 'stop-command' | 'upload' | 'download' | 'request';
  readonly run: string;
  readonly project: string;
  readonly server: string;
  /** The command, the id of the one that is stopped, what is copied to where, or the request. */
  readonly text: string;
  /** The standard input of a command. */
  readonly input?: string | undefined;
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

/** Longer texts are cut: a line of the log must not become as large as a file. Their SHA-256 is of the whole. */
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
    this.#tryWrite({ ...line, operation: 'access', text: undefined, id: randomUUID(), event: 'revoked' });
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
  input,
  level,
}: RecordedUse): Omit<AuditEntry, 'id' | 'event'> => ({
  tool,
  operation,
  resource: { kind: 'run', name: run },
  project,
  server,
  argv: maskWords((operation === 'exec' ? splitCommand : splitWords)(text.slice(0, MAX_TEXT))),
  text: fingerprint(text),
  input: input === undefined ? undefined : fingerprint(input),
  files: {},
  pricePerHour: null,
  level,
});

const fingerprint = (text: string): Fingerprint => ({ sha256: sha256(text), bytes: Buffer.byteLength(text) });

const splitWords = (text: string): readonly string[] => text.match(/\S+/g) ?? [];

/** Splits a command where a shell does, line breaks included: what is masked in one word must not hide the next command. */
const splitCommand = (text: string): readonly string[] =>
  text.replace(AUTHORIZATION, `$1 ${MASK}`).match(/[^\S \t]|[;|&()<>]+|(?:"[^"]*"?|'[^']*'?|[^\s"';|&()<>])+/g) ?? [];

// A secret, without what a shell would run after it.
const VALUE = /^[^\s;|&$()<>`]+/;
const ASSIGNED = /^((?:--env=|-e)?[A-Za-z_][A-Za-z0-9_]*|--token|--password)=[^\s;|&$()<>`]+/;
const AUTHORIZATION = /(?<=[:"'][ \t]*)\b(Bearer|Basic)[ \t]+[^\s;|&$()<>`"']+/gi;

/** Masks the values of variables and of flags that carry secrets. */
const maskWords = (words: readonly string[]): readonly string[] =>
  words.map((word, index) =>
    /^--(?:token|password)$/.test(words[index - 1] ?? '')
      ? word.replace(VALUE, MASK)
      : word.replace(ASSIGNED, `$1=${MASK}`),
  );

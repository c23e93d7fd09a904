import type { Outcome } from '../../core/report.ts';

/** The kind of a failure that dstack reported. */
export type FailureCode =
  | 'no-fleets'
  | 'no-offers'
  | 'no-gateway'
  | 'invalid-file'
  | 'missing-file'
  | 'outside-folder'
  | 'missing-variable'
  | 'name-invalid'
  | 'not-found'
  | 'already-exists'
  | 'in-use'
  | 'busy'
  | 'finished'
  | 'port-in-use'
  | 'not-supported'
  | 'profile-not-found'
  | 'git-credentials'
  | 'no-repository'
  | 'ssh-key'
  | 'image-unreadable'
  | 'no-project'
  | 'unauthorized'
  | 'unreachable'
  | 'server-error'
  | 'not-dstack'
  | 'files-changed'
  | 'not-sent'
  | 'version-mismatch'
  | 'usage'
  | 'no-answer'
  | 'interrupted'
  | 'unknown-error';

/** One kind of failure: how to recognize it, and what to do about it. */
export interface FailureKind {
  readonly code: FailureCode;
  /** Matched against dstack's output without the tables of a plan. */
  readonly pattern: RegExp;
  readonly outcome: Extract<Outcome, 'blocked' | 'failed'>;
  /** The next step, naming this server's tools. */
  readonly hint: string;
  /** Set if the same command may succeed if it is simply repeated. */
  readonly transient?: true;
  /** Set if the same command with the same file fails every time: nothing outside of them decides. Everything else may be fixed at any moment. */
  readonly permanent?: true;
  /** Set if dstack may report this after it began to act, so that a change may have been made. */
  readonly midway?: true;
}

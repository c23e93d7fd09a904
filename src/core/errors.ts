/** Every reason for which this server refuses or fails a call. A closed list: new codes are added here. */
export type ErrorCode =
  | 'invalid-input'
  | 'unknown-command'
  | 'unknown-flag'
  | 'forbidden-flag'
  | 'invalid-value'
  | 'invalid-name'
  | 'outside-workspace'
  | 'not-a-configuration'
  | 'file-not-found'
  | 'file-exists'
  | 'invalid-file'
  | 'policy'
  | 'policy-broken'
  | 'read-only'
  | 'price-cap'
  | 'token-unknown'
  | 'token-used'
  | 'token-expired'
  | 'plan-changed'
  | 'person-needed'
  | 'person-declined'
  | 'not-answered'
  | 'nobody-asked'
  | 'wrong-name'
  | 'retry-refused'
  | 'audit-unavailable'
  | 'state-unavailable'
  | 'cli-not-found'
  | 'cli-too-old'
  | 'cli-not-understood'
  | 'sandbox-ended'
  | 'busy'
  | 'cancelled'
  | 'timed-out'
  | 'consent-missing'
  | 'connection-lost';

/**
 * An expected failure: `message` says what happened and what was not changed, `hint` is the next step. Any other thrown error is a
 * bug.
 */
export class ToolError extends Error {
  /** Text of unknown programs and people, such as names of files: it is shown fenced. */
  readonly untrusted: string | undefined;
  override readonly name = 'ToolError';
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(
    code: ErrorCode,
    message: string,
    hint: string,
    { untrusted, ...options }: ErrorOptions & { readonly untrusted?: string | undefined } = {},
  ) {
    super(message, options);
    this.untrusted = untrusted;
    this.code = code;
    this.hint = hint;
    // Until its stack is read, an error retains everything that the functions on it reference. Some errors are kept for long, such as
    // the reason why a token was closed.
    Reflect.get(this, 'stack');
  }
}

/** Returns the message of what was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Returns the code of an error, such as `ENOENT`; undefined if it has none. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined;

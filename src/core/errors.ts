/** Every way in which a call can be refused or fail before dstack's own words are the answer. Closed: a new kind is added here. */
export type ErrorCode =
  | 'invalid-input'
  | 'unknown-command'
  | 'unknown-flag'
  | 'forbidden-flag'
  | 'invalid-value'
  | 'invalid-name'
  | 'outside-workspace'
  | 'file-not-found'
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
  | 'wrong-name'
  | 'retry-refused'
  | 'audit-unavailable'
  | 'state-unavailable'
  | 'cli-not-found'
  | 'cli-too-old'
  | 'cli-not-understood'
  | 'busy'
  | 'cancelled'
  | 'timed-out'
  | 'consent-missing';

/**
 * An expected failure, worded for its reader: `message` says what happened and what was not changed, `hint` is the next step.
 * Anything else that is thrown is a bug.
 */
export class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
    // Until its stack is read, an error holds on to all that the functions on it hold. Some of these are kept: why a token is closed, say.
    Reflect.get(this, 'stack');
  }
}

/** Something this machine lacks, or a step of the set-up that failed: `message` says what, `hint` is what to do about it. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

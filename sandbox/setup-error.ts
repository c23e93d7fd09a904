/** A missing requirement or a failed setup step, with a hint about how to fix it. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

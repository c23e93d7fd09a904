import type { Operation, ConsentLevel } from '../../core/change.ts';

/** What was agreed to: enough for the runner to compare, and for the audit log to tell. */
export interface Agreement {
  readonly operation: Operation;
  readonly level: ConsentLevel;
  /** SHA-256 (hex) over everything that the token binds. */
  readonly planDigest: string;
  /** The argv that was agreed to, word for word. */
  readonly argv: readonly string[];
}

/** Agreement to exactly one change, as a value. Only the gate makes one; it is good for one command. */
class GrantedConsent implements Agreement {
  // A private field makes the class nominal: no object literal passes for a consent, neither to the compiler nor at run time.
  #spent = false;
  readonly operation: Operation;
  readonly level: ConsentLevel;
  readonly planDigest: string;
  readonly argv: readonly string[];

  constructor(agreement: Agreement) {
    this.operation = agreement.operation;
    this.level = agreement.level;
    this.planDigest = agreement.planDigest;
    this.argv = Object.freeze([...agreement.argv]);
    Object.freeze(this);
  }

  static spend(value: unknown, argv: readonly string[]): boolean {
    if (typeof value !== 'object' || value === null || !(#spent in value) || value.#spent) return false;
    if (value.argv.length !== argv.length || value.argv.some((word, index) => word !== argv[index])) return false;
    value.#spent = true;
    return true;
  }
}

export type Consent = GrantedConsent;

/** Makes a consent. The test of imports holds it to one caller: the gate. */
export const grantConsent = (agreement: Agreement): Consent => new GrantedConsent(agreement);

/** Uses a consent up for exactly the argv it was given for; false where it is no consent, was spent, or is for another argv. */
export const spendConsent = (value: unknown, argv: readonly string[]): boolean => GrantedConsent.spend(value, argv);

import type { ConsentLevel } from '../../core/change.ts';

/** An approved change: enough for the runner to compare it with its command, and to tell how it was approved. */
interface ApprovedChange {
  readonly level: ConsentLevel;
  /** The exact approved argv. */
  readonly argv: readonly string[];
}

/** The consent to exactly one change. Only a redemption makes one, and it is valid for one command. */
class GrantedConsent implements ApprovedChange {
  // A private field makes the class nominal: no object literal is accepted as a consent, neither by the compiler nor at runtime.
  #spent = false;
  readonly level: ConsentLevel;
  readonly argv: readonly string[];

  constructor(change: ApprovedChange) {
    this.level = change.level;
    this.argv = Object.freeze([...change.argv]);
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

/** Makes a consent. The dependency test allows one caller: the redemption of a token. */
export const grantConsent = (change: ApprovedChange): Consent => new GrantedConsent(change);

/** Uses up a consent for its exact argv. Returns false if the value isn't a consent, was spent before, or is for another argv. */
export const spendConsent = (value: unknown, argv: readonly string[]): boolean => GrantedConsent.spend(value, argv);

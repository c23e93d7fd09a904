import { ToolError } from '../../core/errors.ts';
import { spendConsent } from '../../safety/consent/consent.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';
import type { ExpectedChange, HeldAnswer } from './wire-rule.ts';
import type { Transcript } from '../../core/transcript.ts';

/** A command that waits right before its first change: what it has printed and requested so far. */
export type HeldCommand = Omit<Transcript, 'exit' | 'pinning'> & Required<Pick<Transcript, 'requests'>>;

/** The consent to a change, and the requests that it covers. */
export interface Approved {
  readonly consent: Consent;
  readonly changes: readonly ExpectedChange[];
}

/** Decides about a held command. Whatever it throws refuses the change, and is what the call ends with. */
export type Approve = (held: HeldCommand) => Promise<Approved>;

interface HeldChangeParts {
  readonly argv: CheckedArgv;
  /** The consent, or what returns it once the command is held. */
  readonly consent: Consent | Approve;
  readonly onSpent?: (() => void) | undefined;
}

/** The consent of one command: given before it starts, or asked for once it is held. */
export class HeldChange {
  readonly #parts: HeldChangeParts;
  #state: 'undecided' | 'allowed' | 'refused' = 'undecided';
  #refusal: { readonly error: unknown } | undefined;

  constructor(parts: HeldChangeParts) {
    this.#parts = parts;
  }

  /** Whether the gate asks. */
  get isAsked(): boolean {
    return typeof this.#parts.consent === 'function';
  }

  /** Whether nothing was decided yet: the command can't have changed anything. */
  get isUndecided(): boolean {
    return this.#state === 'undecided';
  }

  /** Whether the command may change something: it then isn't ended halfway. */
  get isAllowed(): boolean {
    return this.#state === 'allowed';
  }

  /** Spends a consent that was given in advance. @throws ToolError `consent-missing` if it isn't one for this command */
  begin(): void {
    const { consent } = this.#parts;
    if (typeof consent !== 'function') this.#spend(consent);
  }

  /** Decides about the held command, once. Doesn't throw. */
  async answer(held: HeldCommand): Promise<HeldAnswer> {
    const { consent: approve } = this.#parts;
    try {
      if (!this.isUndecided || typeof approve !== 'function') throw new TypeError('a change is decided on once');
      const { consent, changes } = await approve(held);
      this.#spend(consent);
      return { changes };
    } catch (error) {
      this.#refusal ??= { error };
      this.end();
      return { deny: "it isn't what was approved" };
    }
  }

  /** Refuses what isn't allowed by now: nobody waits for the command anymore. */
  end(): void {
    if (this.#state === 'undecided') this.#state = 'refused';
  }

  /** Throws what the change was refused with. */
  throwRefusal(): void {
    if (this.#refusal !== undefined) throw this.#refusal.error;
  }

  #spend(consent: unknown): void {
    const { argv, onSpent } = this.#parts;
    if (this.#state !== 'undecided' || !spendConsent(consent, argv.argv)) throw consentMissing(argv);
    this.#state = 'allowed';
    onSpent?.();
  }
}

const consentMissing = (argv: CheckedArgv): ToolError =>
  new ToolError(
    'consent-missing',
    `There is no consent to \`${showCommand(argv.argv)}\`. Nothing was changed.`,
    'Make a new plan and have it approved.',
  );

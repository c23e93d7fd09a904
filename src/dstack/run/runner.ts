import { ToolError } from '../../core/errors.ts';
import type { Transcript } from '../../core/transcript.ts';
import { spendConsent } from '../../safety/consent/consent.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { showCommand } from '../argv/command.ts';
import type { CheckedArgv } from '../argv/command.ts';

/** The dstack executable and, where it is a Python script, its interpreter. */
export interface Executable {
  readonly path: string;
  /** The Python interpreter of the entry script; missing if the executable isn't a Python script. */
  readonly interpreter?: string;
  /** The shim or wrapper that was found and leads to this script, with the variables that it sets. */
  readonly wrapper?: { readonly path: string; readonly env: Readonly<Record<string, string>> };
  /** Why no Python script is known. */
  readonly notPython?: string;
  /** The places that were searched, in order, up to the one where it was found. */
  readonly tried: readonly string[];
}

/** Receives standard output as it arrives, for output that is too long to keep. */
export interface OutputSink {
  write(chunk: Uint8Array): void;
  /** Discards everything received so far: the command starts over. */
  reset(): void;
}

export interface RunOptions {
  /** Working directory. Defaults to that of this process. */
  readonly cwd?: string;
  /** Variables added to the runner's environment for this command only. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command is ended after this many milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Receives all of standard output, including what the transcript omits. */
  readonly sink?: OutputSink;
  /** The approved configuration: dstack reads these bytes at this path, even if the file on disk has changed. */
  readonly pinnedFile?: { readonly path: string; readonly bytes: Uint8Array };
  /** Limits what the command may send to dstack's server. Enforced if the executable is a Python script. */
  readonly wire?: WireRule;
  /** Called when the command leaves the queue, with where it runs. Called twice if the worker can't run it and a process does. */
  readonly onBegin?: (ran: Transcript['ran']) => void;
}

export interface ReadOptions extends RunOptions {
  /** The only input that is ever written to a prompt. */
  readonly answer?: 'n';
}

/** Runs the dstack CLI, as a plain process or in the warm worker. Both return the same transcript. */
export interface Runner {
  /** Runs a read-only command. Doesn't throw if dstack fails. */
  read(argv: CheckedArgv<'read'>, options: ReadOptions): Promise<Transcript>;
  /**
   * Runs a command that changes something, once. A function is asked for the consent right before the first change is sent, which
   * needs a rule that asks and an executable that is a Python script.
   * @throws ToolError `consent-missing` if `consent` wasn't made by the gate; what the function throws, once the command has ended.
   */
  change(argv: CheckedArgv<'change'>, consent: Consent | Approve, options: RunOptions): Promise<Transcript>;
  /** Ends every process it started. */
  close(): Promise<void>;
}

/** Limits what one command may send to dstack's server. The gate in dstack's own process enforces it (`worker/wire_gate.py`). */
export interface WireRule {
  /** The URL of the server: nothing goes to another one. Null if it isn't known: nothing is sent then. */
  readonly server: string | null;
  /** The project that changes go to. */
  readonly project: string | null;
  /** Whether files and repositories may be handed over, as planning a configuration does. */
  readonly handOver: boolean;
  /** Whether it waits before its first change for what may be sent. Otherwise it changes nothing. */
  readonly asks: boolean;
  /** The private keys and tokens that may be sent. Defaults to none. */
  readonly credentials?: readonly AdmittedCredential[];
  /** The archives of files that may be sent, by the digest of their content. Defaults to none. */
  readonly archives?: readonly string[];
}

/** A private key or a token that somebody agreed to send. */
export interface AdmittedCredential {
  /** Of its text, in hex. */
  readonly sha256: string;
  /** The repositories that it may be sent for, as dstack writes their URLs; missing for the key of a fleet. */
  readonly cloneUrls?: readonly string[];
}

/** The changes that a command may send, each once and in this order, and the look-up of its resource that follows the last one. */
interface Allowed {
  readonly changes: readonly ExpectedChange[];
  readonly lookUp?: LookUp | undefined;
}

/** The answer to a command that waits before its first change. */
export type HeldAnswer = Allowed | { readonly deny: string };

/** A request that shows a resource. `path` is below `/api/project/<project>/`. */
export interface LookUp {
  readonly path: string;
  readonly body: Json;
}

/** A change request, with the part of it that consent was given for. `path` is below `/api/project/<project>/`. */
export type ExpectedChange = { readonly path: string } & (
  | {
      /** The whole body. */
      readonly body: Json;
    }
  | {
      /** Properties that the body must have. */
      readonly within: Json;
    }
  | {
      /** The specification that the body has to carry: the one whose plan was requested at `path`, with this SHA-256. */
      readonly plan: { readonly path: string; readonly sha256: string };
    }
);

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** A command that waits right before its first change: what it has printed and requested so far. */
export type HeldCommand = Omit<Transcript, 'exit' | 'pinning'> & Required<Pick<Transcript, 'requests'>>;

/** The consent to a change, and the requests that it covers. */
interface Approved extends Allowed {
  readonly consent: Consent;
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
  #decision: Promise<HeldAnswer> | undefined;

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

  /** Whether it was or is being decided on: whoever decides can't do so for another command. */
  get wasAsked(): boolean {
    return this.#decision !== undefined;
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
  answer(held: HeldCommand): Promise<HeldAnswer> {
    const decision = this.#decide(held, this.wasAsked);
    this.#decision ??= decision;
    return decision;
  }

  /** Refuses what isn't allowed by now: nobody waits for the command anymore. Resolves once nothing is being decided on. */
  async end(): Promise<void> {
    this.#refuse();
    await this.#decision;
  }

  async #decide(held: HeldCommand, isAgain: boolean): Promise<HeldAnswer> {
    const { consent: approve } = this.#parts;
    try {
      if (isAgain || !this.isUndecided || typeof approve !== 'function')
        throw new TypeError('a change is decided on once');
      const { consent, ...allowed } = await approve(held);
      // Too late: its command has ended.
      if (this.#state === 'refused') return { deny: 'nobody waits for it anymore' };
      this.#spend(consent);
      return allowed;
    } catch (error) {
      this.#refusal ??= { error };
      this.#refuse();
      return { deny: "it isn't what was approved" };
    }
  }

  #refuse(): void {
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

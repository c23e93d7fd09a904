import type { Effect } from '../../core/report.ts';

/** A value for one flag: `true` for a switch, text or number for one that takes a value, a list for one that may be repeated. */
export type FlagValue = true | string | number | readonly (string | number)[];

/** What a tool asks the dstack CLI to do, before any check: long flag names with their dashes, values, positionals in order. */
export interface CommandRequest {
  /** The command words, as in `run get` or `apply`. */
  readonly command: string;
  /** The flags that the tool itself sets; one that is `undefined` or `false` is left out. */
  readonly flags?: Readonly<Record<string, FlagValue | false | undefined>>;
  /** The flags that the model asks for, as they came: each is held to the documented ones that a model may give. */
  readonly extraFlags?: Readonly<Record<string, unknown>> | undefined;
  readonly positionals?: readonly string[];
  /** The configuration type whose flags `apply` documents beside its own (`task`, `fleet`, ...). */
  readonly configurationType?: string | undefined;
}

declare const checked: unique symbol;

/**
 * An argv that passed the catalog: each flag is documented by the installed CLI for this very command, and each value and
 * positional is safe. Made by `checkArgv` alone; a runner takes nothing else.
 */
export interface CheckedArgv<E extends Effect = Effect> {
  readonly [checked]: true;
  readonly command: string;
  readonly argv: readonly string[];
  readonly effect: E;
}

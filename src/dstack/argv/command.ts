import type { Effect } from '../../core/report.ts';
import { joinWords } from '../../core/format-values.ts';

/** The value of a flag: `true` for a switch, a string or number for a flag with a value, a list for a repeatable flag. */
export type FlagValue = true | string | number | readonly (string | number)[];

/** A request to run a dstack command, before any check. Flags have their long names, with dashes. */
export interface CommandRequest {
  /** The command words, as in `run get` or `apply`. */
  readonly command: string;
  /** The flags that the tool itself sets; those that are `undefined` or `false` are omitted. */
  readonly flags?: Readonly<Record<string, FlagValue | false | undefined>>;
  /** The flags that the model requests, unchecked: each has to be documented and allowed for models. */
  readonly extraFlags?: Readonly<Record<string, unknown>> | undefined;
  readonly positionals?: readonly string[];
  /** The configuration type whose flags `apply` documents in addition to its own (`task`, `fleet`, ...). */
  readonly configurationType?: string | undefined;
}

declare const checked: unique symbol;

/**
 * An argv that passed the check against the catalog: the installed CLI documents each flag for this command, and each value and
 * positional is safe. Only `checkArgv` creates one, and runners accept nothing else.
 */
export interface CheckedArgv<E extends Effect = Effect> {
  readonly [checked]: true;
  readonly command: string;
  readonly argv: readonly string[];
  readonly effect: E;
}

/** Formats a dstack command as it would be typed into a shell. */
export const showCommand = (argv: readonly string[]): string => joinWords(['dstack', ...argv]);

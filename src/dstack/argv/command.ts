import { joinWords } from '../../core/values.ts';
import type { Effect } from '../../core/report.ts';

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

/** A help page, as text and parsed. */
export interface CatalogPage {
  readonly text: string;
  readonly help: HelpPage;
}

/** The documented flags of a command by position: after its last word, or before it (`run --project P get`). */
export interface FlagPlaces {
  readonly own: ReadonlyMap<string, DocumentedFlag>;
  readonly parent: ReadonlyMap<string, DocumentedFlag>;
}

/** The installed CLI's documentation, read from its help pages on demand. */
export interface Catalog {
  readonly version: string;
  /** The top-level commands. */
  commands(): Promise<readonly DocumentedSubcommand[]>;
  /**
   * Returns the help page of a command; for `apply` with a configuration type, with that type's flags.
   * @throws ToolError `unknown-command` that lists the documented commands.
   */
  page(command: string, configurationType?: string): Promise<CatalogPage>;
  flagsOf(command: string, configurationType?: string): Promise<FlagPlaces>;
  /** Resolves when the pages read so far are in the cache on disk. */
  settled(): Promise<void>;
}

/** A flag's argument: none, or one value that the help page calls `metavar`. */
type FlagArgument = 'none' | { readonly metavar: string; readonly optional: boolean };

/** One flag as the help page documents it. Names include their dashes. */
export interface DocumentedFlag {
  readonly long: string;
  readonly short?: string;
  /** Other long names. */
  readonly aliases: readonly string[];
  readonly value: FlagArgument;
  /** Inferred from the help text, since argparse doesn't show it; false unless the text says so. */
  readonly repeatable: boolean;
  readonly choices?: readonly string[];
  readonly required: boolean;
  /** At most one flag of a group can be used. */
  readonly exclusiveGroup?: number;
  readonly help: string;
}

export interface DocumentedPositional {
  readonly name: string;
  readonly required: boolean;
  readonly many: boolean;
  readonly choices?: readonly string[];
  readonly help: string;
}

export interface DocumentedSubcommand {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly help: string;
}

/** The content of a `dstack … --help` page. */
export interface HelpPage {
  /** The program and command words: `dstack run get`. */
  readonly program: string;
  readonly usage: string;
  readonly positionals: readonly DocumentedPositional[];
  readonly flags: readonly DocumentedFlag[];
  readonly subcommands: readonly DocumentedSubcommand[];
}

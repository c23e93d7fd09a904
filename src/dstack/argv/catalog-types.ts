/** A help page: as dstack printed it, and what it says. */
export interface CatalogPage {
  readonly text: string;
  readonly help: HelpPage;
}

/** The documented flags of a command by where they stand: after its last word, or before it (`run --project P get`). */
export interface FlagPlaces {
  readonly own: ReadonlyMap<string, DocumentedFlag>;
  readonly parent: ReadonlyMap<string, DocumentedFlag>;
}

/** What the installed CLI documents, read from its help pages as they are needed. */
export interface Catalog {
  readonly version: string;
  /** The commands of the CLI itself. */
  commands(): Promise<readonly DocumentedSubcommand[]>;
  /**
   * The help page of a command; for `apply` with a configuration type, with that type's flags.
   * @throws ToolError `unknown-command` with the documented ones.
   */
  page(command: string, configurationType?: string): Promise<CatalogPage>;
  flagsOf(command: string, configurationType?: string): Promise<FlagPlaces>;
  /** Settles when the pages that were read so far are in the cache on the disk. */
  settled(): Promise<void>;
}

/** What a flag takes: nothing, or one value that the help page calls `metavar`. */
export type FlagArgument = 'none' | { readonly metavar: string; readonly optional: boolean };

/** One flag as the help page documents it. Names carry their dashes. */
export interface DocumentedFlag {
  readonly long: string;
  readonly short?: string;
  /** Further long names. */
  readonly aliases: readonly string[];
  readonly value: FlagArgument;
  /** argparse doesn't show it: inferred from the words of the help text, and false where they don't say. */
  readonly repeatable: boolean;
  readonly choices?: readonly string[];
  readonly required: boolean;
  /** At most one flag of a group may be given. */
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

/** What one `dstack … --help` page says. */
export interface HelpPage {
  /** The words before the options: `dstack run get`. */
  readonly program: string;
  readonly usage: string;
  readonly positionals: readonly DocumentedPositional[];
  readonly flags: readonly DocumentedFlag[];
  readonly subcommands: readonly DocumentedSubcommand[];
}

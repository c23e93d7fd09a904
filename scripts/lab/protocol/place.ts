/** A sandbox with a run, and the environment of a server that talks to it. */
export interface Place {
  readonly env: Readonly<Record<string, string>>;
  readonly workspace: string;
  readonly serverFile: string;
  /** Parent of the folders in which the tools are installed. */
  readonly cacheFolder: string;
  /** The run and its configuration file. */
  readonly run: string;
  readonly file: string;
}

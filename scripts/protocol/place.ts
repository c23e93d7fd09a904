/** Where a server is checked: a sandbox with a run in it, and the environment of a server that talks to it. */
export interface Place {
  readonly env: Readonly<Record<string, string>>;
  readonly workspace: string;
  readonly serverFile: string;
  /** Where tools are installed, each in a folder of its own. */
  readonly cacheFolder: string;
  /** The run that is there, and its configuration. */
  readonly run: string;
  readonly file: string;
}

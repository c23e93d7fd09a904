/** The dstack executable, and what runs it where it is a Python script. */
export interface Executable {
  readonly path: string;
  /** The Python interpreter of the entry script; missing where the executable is none. */
  readonly interpreter?: string;
  /** Where it was looked for, in order, up to the one that was found. */
  readonly tried: readonly string[];
}

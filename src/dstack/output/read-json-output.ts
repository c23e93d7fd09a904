import { ToolError } from '../../core/errors.ts';

/**
 * Parses the JSON that a command printed with `--json`. Skips what the CLI prints before it, also to standard output: once a day
 * "A new version of dstack is available" (cli/utils/updates.py), and warnings of its logger.
 * @throws ToolError `cli-not-understood` if there is no JSON.
 */
export function readJsonOutput(stdout: string): unknown {
  const end = stdout.trimEnd().at(-1);
  for (const { 0: start, index } of stdout.matchAll(/^[[{]/gm)) {
    // Parses only what can be complete: a flood of brackets would be read to its end from each of them.
    if (end !== (start === '[' ? ']' : '}')) continue;
    try {
      const value: unknown = JSON.parse(stdout.slice(index));
      return value;
    } catch {
      // A line of a warning can start with a bracket, too (`[08:15:00] …`): keep looking.
    }
  }
  throw new ToolError(
    'cli-not-understood',
    'dstack was asked for JSON and printed none.',
    'Use doctor to check which version of the CLI is installed.',
  );
}

type IsPresent<V> = null extends V ? false : undefined extends V ? false : true;

/** The same object type without `null` and `undefined`: such properties are optional. */
export type Present<T> = { [K in keyof T as IsPresent<T[K]> extends true ? K : never]: T[K] } & {
  [K in keyof T as IsPresent<T[K]> extends true ? never : K]?: NonNullable<T[K]>;
};

/** Removes properties that are `null` or `undefined`. */
export function omitAbsent<T extends object>(values: T): Present<T>;
export function omitAbsent(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
}

/** Returns the sum of the prices that are known; undefined if there are none. */
export function addPrices(prices: readonly (number | null | undefined)[]): number | undefined {
  const known = prices.flatMap((price) => price ?? []);
  return known.length === 0 ? undefined : Number(known.reduce((sum, price) => sum + price, 0).toFixed(6));
}

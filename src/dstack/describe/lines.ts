/** Returns a line for each value that is known: `label: value`. */
export const labeled = (values: Readonly<Record<string, string | undefined>>): string[] =>
  Object.entries(values).flatMap(([label, value]) => (value === undefined ? [] : [`${label}: ${value}`]));

/** Formats a value that may be unknown. */
export const ifKnown = <T>(value: T | undefined, format: (known: T) => string): string | undefined =>
  value === undefined ? undefined : format(value);

/** Joins the parts that are known and not empty. */
export const joinKnown = (parts: readonly (string | undefined)[], separator: string): string =>
  parts.filter((part) => part !== undefined && part !== '').join(separator);

const MOST_LISTED = 20;

/** Lists the first of many, those that have a problem before the others, and counts the rest. */
export function listFirst<T>(
  items: readonly T[],
  hasProblem: (item: T) => boolean,
  { describe, more }: { readonly describe: (item: T) => string; readonly more: string },
): string[] {
  const sorted = items.toSorted((a, b) => Number(hasProblem(b)) - Number(hasProblem(a)));
  const rest = Math.max(0, items.length - MOST_LISTED);
  return [...sorted.slice(0, MOST_LISTED).map(describe), ...(rest === 0 ? [] : [`and ${rest} more: ${more}`])].map(
    (line) => `- ${line}`,
  );
}

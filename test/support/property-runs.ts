/** How many times more the nightly tier tries; it sets the variable, and the other tiers stay quick without it. */
const factor = Number(process.env['PROPERTY_RUNS_FACTOR'] ?? 1);

/** Returns how many times a property test runs: `count` times, and many times more in the nightly tier. */
export function propertyRuns(count: number): number {
  return Math.ceil(count * factor);
}

/** Returns the length of an input that has to be read in linear time. */
export function inputLength(lengths: { readonly unit: number; readonly nightly: number }): number {
  return factor > 1 ? lengths.nightly : lengths.unit;
}

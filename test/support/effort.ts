/** Whether this is the nightly tier, which tries everything. The other tiers stay quick. */
export const isNightly = process.env['DSTACK_TEST_EFFORT'] === 'nightly';

/** Returns how many times a property test runs: `count` times, and 20 times as often in the nightly tier. */
export function propertyRuns(count: number): number {
  return isNightly ? count * 20 : count;
}

/** Returns the length of an input that has to be read in linear time. */
export function inputLength(lengths: { readonly unit: number; readonly nightly: number }): number {
  return isNightly ? lengths.nightly : lengths.unit;
}

/** Returns about `count` items, spread over the list, and all of them in the nightly tier. */
export function sample<T>(items: readonly T[], count: number): readonly T[] {
  const every = isNightly ? 1 : Math.max(1, Math.floor(items.length / count));
  return items.filter((_, index) => index % every === 0);
}

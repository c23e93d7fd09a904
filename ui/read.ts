/** An object of which no property has been checked yet. */
export type Facts = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Facts =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads an object. Returns an empty one for anything else. */
export const toFacts = (value: unknown): Facts => (isRecord(value) ? value : {});

/** Reads a non-empty string. */
export function textOf(facts: Facts, key: string): string | undefined {
  const value = facts[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Reads a finite number. */
export function numberOf(facts: Facts, key: string): number | undefined {
  const value = facts[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Reads an array of objects. Skips other items. */
export function factsListOf(facts: Facts, key: string): readonly Facts[] {
  const value = facts[key];
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** Reads an array of strings. Skips other items. */
export function textsOf(facts: Facts, key: string): readonly string[] {
  const value = facts[key];
  return Array.isArray(value) ? value.filter((item: unknown) => typeof item === 'string') : [];
}

/** Returns an object with one property, or an empty one if the value is undefined. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const facts: { [P in K]?: V } = {};
  if (value !== undefined) facts[key] = value;
  return facts;
}

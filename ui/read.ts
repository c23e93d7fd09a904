/** What a tool's result holds, before anything of it is trusted to be there. */
export type Facts = Readonly<Record<string, unknown>>;

/** Reads an object; an empty one where it is none, so that what is missing reads as absent. */
export function toFacts(value: unknown): Facts {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** Reads a text that isn't empty. */
export function textOf(facts: Facts, key: string): string | undefined {
  const value = facts[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Reads a finite number. */
export function numberOf(facts: Facts, key: string): number | undefined {
  const value = facts[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Reads a list of objects; other members are passed over. */
export function factsListOf(facts: Facts, key: string): readonly Facts[] {
  const value = facts[key];
  if (!Array.isArray(value)) return [];
  return value.filter((item: unknown) => typeof item === 'object' && item !== null).map(toFacts);
}

/** Reads a list of texts; other members are passed over. */
export function textsOf(facts: Facts, key: string): readonly string[] {
  const value = facts[key];
  return Array.isArray(value) ? value.filter((item: unknown) => typeof item === 'string') : [];
}

/** A fact under its name; nothing where it isn't known. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const facts: { [P in K]?: V } = {};
  if (value !== undefined) facts[key] = value;
  return facts;
}

/** One version of the changelog. */
export interface Release {
  readonly version: string;
  /** ISO date, or `unreleased`. */
  readonly date: string;
  /** Added, Changed, … */
  readonly kinds: readonly string[];
}

const KINDS = new Set(['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']);

/** Parses a changelog in Keep a Changelog format, newest release first. @throws Error if the format is invalid */
export function readChangelog(text: string): readonly Release[] {
  const [, ...sections] = text.split(/^## /m);
  const [first, ...rest] = sections;
  if (first?.startsWith('[Unreleased]') !== true) throw new Error('The first section must be "## [Unreleased]".');
  return rest.map((section) => {
    const [heading = ''] = section.split('\n');
    const [, version, date] = /^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2}|unreleased)$/.exec(heading) ?? [];
    if (version === undefined || date === undefined)
      throw new Error(`"## ${heading}" must have the format "## [1.2.3] - 2026-01-31".`);
    const kinds = [...section.matchAll(/^### (.+)$/gm)].map(([, kind = '']) => kind);
    const unknown = kinds.filter((kind) => !KINDS.has(kind));
    if (kinds.length === 0 || unknown.length > 0)
      throw new Error(`Sections of ${version}: ${kinds.join(', ')}. Allowed: ${[...KINDS].join(', ')}.`);
    return { version, date, kinds };
  });
}

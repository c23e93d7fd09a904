import path from 'node:path';

/** The repository's root folder. */
export const repositoryRoot = path.resolve(import.meta.dirname, '../..');

/** A path inside the repository, as in `inRepository('docs', 'safety.md')`. */
export const inRepository = (...parts: readonly string[]): string => path.join(repositoryRoot, ...parts);

/** A path inside `test/fixtures`. */
export const fixture = (...parts: readonly string[]): string => inRepository('test', 'fixtures', ...parts);

/** The built server. */
export const builtServer = inRepository('dist', 'dstack-mcp.mjs');

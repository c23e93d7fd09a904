import path from 'node:path';
import envPaths from 'env-paths';

/** A setting's text, where somebody gave one: Claude Desktop hands over an unset field as an empty string or as its own placeholder. */
export function givenText(text: unknown): string | undefined {
  return typeof text !== 'string' || text.trim() === '' || /^\$\{.*\}$/.test(text) ? undefined : text;
}

/** The folder of everything that outlives a process, from the setting's text: the platform's own place for it by default. */
export function stateFolder(text: string | undefined): string {
  return path.resolve(text ?? envPaths('dstack-mcp', { suffix: '' }).log);
}

import path from 'node:path';
import envPaths from 'env-paths';

/** Returns the text of a setting, if it is set: Claude Desktop passes an unset field as an empty string or as its placeholder. */
export function givenText(text: unknown): string | undefined {
  return typeof text !== 'string' || text.trim() === '' || /^\$\{.*\}$/.test(text) ? undefined : text;
}

/** Returns the folder for everything that outlives a process. Defaults to the platform's state directory. */
export function stateFolder(text: string | undefined): string {
  return path.resolve(text ?? envPaths('dstack-mcp', { suffix: '' }).log);
}

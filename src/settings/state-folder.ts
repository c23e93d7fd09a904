import { readdirSync } from 'node:fs';
import path from 'node:path';
import envPaths from 'env-paths';
import { codeOf } from '../core/errors.ts';

/** Returns the text of a setting, if it is set: Claude Desktop passes an unset field as an empty string or as its placeholder. */
export function givenText(text: unknown): string | undefined {
  return typeof text !== 'string' || text.trim() === '' || /^\$\{.*\}$/.test(text) ? undefined : text;
}

/** Returns the folder for everything that outlives a process. Defaults to the platform's state directory. */
export function stateFolder(text: string | undefined): string {
  return path.resolve(text ?? envPaths('dstack-mcp', { suffix: '' }).log);
}

/** Returns the folder with a record for each attachment. */
export const attachmentsFolder = (stateDir: string): string => path.join(stateDir, 'attachments');

/** Returns whether there may be attachments, perhaps of a server that was killed. */
export function hasAttachments(stateDir: string): boolean {
  try {
    return readdirSync(attachmentsFolder(stateDir)).length > 0;
  } catch (error) {
    return codeOf(error) !== 'ENOENT';
  }
}

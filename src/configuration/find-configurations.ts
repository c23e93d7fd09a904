import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { decodeText, parseText } from './parse-text.ts';
import { isRecord } from './schema-index.ts';
import type { Workspace } from '../safety/files/workspace.ts';

/** A configuration in the workspace. */
export interface FoundConfiguration {
  /** Relative to the workspace's first folder where it lies in it, else absolute. */
  readonly path: string;
  readonly type: string;
  readonly name: string;
}

const MAX_FILES = 200;
const MAX_DEPTH = 6;
const MAX_FOLDERS = 500;

/** Finds the workspace's configurations with their type and name. */
export async function findConfigurations(workspace: Workspace): Promise<readonly FoundConfiguration[]> {
  const files = (await Promise.all(workspace.folders.map(listFiles))).flat().slice(0, MAX_FILES);
  return Promise.all(
    files.map(async (file) => {
      const value = await workspace.readConfiguration(file).then(
        ({ bytes }) => parseText(decodeText(bytes, file), file).value,
        () => undefined,
      );
      const record = isRecord(value) ? value : {};
      return {
        path: shorten(file, workspace.folders[0]),
        type: typeof record['type'] === 'string' ? record['type'] : 'unreadable',
        name: typeof record['name'] === 'string' ? record['name'] : '',
      };
    }),
  );
}

/** As a relative path is understood everywhere: from the first folder. */
function shorten(file: string, folder: string | undefined): string {
  const relative = folder === undefined ? file : path.relative(folder, file);
  return relative.startsWith('..') ? file : relative.replaceAll(path.sep, '/');
}

/** Level by level, without the folders that hold other people's code, and without links. */
async function listFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  let folders = [root];
  for (let depth = 0; depth < MAX_DEPTH && folders.length > 0 && found.length < MAX_FILES; depth++) {
    const next: string[] = [];
    for (const folder of folders.slice(0, MAX_FOLDERS)) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const place = path.join(folder, entry.name);
        if (entry.isDirectory() && !/^\.|^(?:node_modules|venv|__pycache__|dist)$/.test(entry.name)) next.push(place);
        if (entry.isFile() && /\.dstack\.ya?ml$/.test(entry.name)) found.push(place);
      }
    }
    folders = next;
  }
  return found;
}

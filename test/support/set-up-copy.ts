import { lstatSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { download } from '../../src/remote/download.ts';
import type { DownloadScope } from '../../src/remote/download.ts';
import { findUpload, upload } from '../../src/remote/upload.ts';
import type { Copied, CopyRequest, CopyState } from '../../src/remote/copy-tree.ts';
import type { Walk } from '../../src/remote/local-tree.ts';
import { MAX_COPY_ENTRIES } from '../../src/remote/copy-tree.ts';
import type { RemoteShell } from '../../src/remote/remote-shell.ts';
import { createLocalShell } from './local-shell.ts';
import type { LocalShellOptions } from './local-shell.ts';
import { emptyFolder } from './temporary-folders.ts';

export type Files = Readonly<Record<string, string | Uint8Array>>;

/** Writes files below a folder, by their relative path. */
export function writeFiles(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
}

/** Returns the relative paths of everything below a folder, in order. Node's own recursion follows links. */
export function namesIn(folder: string): readonly string[] {
  const below = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => [
    entry.name,
    ...(entry.isDirectory() ? namesIn(path.join(folder, entry.name)).map((name) => path.join(entry.name, name)) : []),
  ]);
  return below.sort();
}

/** Returns everything below a folder by its relative path: the text of files, and the kind of everything else. */
export function readFiles(folder: string): Record<string, string> {
  return Object.fromEntries(
    namesIn(folder).map((name) => {
      const file = path.join(folder, name);
      const stat = lstatSync(file);
      const kind = stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'other';
      return [name, stat.isFile() ? readFileSync(file, 'latin1') : kind];
    }),
  );
}

/** Everything in a folder, as if nothing were ignored. */
export const walk: Walk = ({ root }) => Promise.resolve([root, ...namesIn(root).map((name) => path.join(root, name))]);

export interface CopySetupOptions extends Partial<Omit<LocalShellOptions, 'cwd'>> {
  readonly maxBytes?: number;
  readonly maxEntries?: number;
  readonly shellOf?: (run: string) => RemoteShell;
  readonly signal?: AbortSignal;
  readonly onProgress?: (state: CopyState) => void;
}

/** Sets up a workspace, a run whose shell is on this computer, and copies between both. */
export function setUpCopy(options: CopySetupOptions = {}) {
  const { maxBytes = 1024 ** 3, maxEntries = MAX_COPY_ENTRIES, signal = new AbortController().signal } = options;
  const here = realpathSync(emptyFolder());
  const run = realpathSync(emptyFolder());
  const shell = options.shellOf?.(run) ?? createLocalShell({ ...options, cwd: run });
  const scope: DownloadScope = {
    shell,
    signal,
    limits: { maxBytes, maxEntries },
    onProgress: options.onProgress ?? (() => undefined),
    allowSecrets: async () => undefined,
  };
  const requestOf = (local: string, remote: string, replace: boolean): CopyRequest => {
    const absolute = path.join(here, local);
    const found = lstatSync(absolute, { throwIfNoEntry: false });
    const localKind = found === undefined ? 'missing' : found.isDirectory() ? 'folder' : 'file';
    return { local: path.resolve(absolute), localKind, intoLocal: local.endsWith('/'), remote, replace };
  };
  return {
    here,
    run,
    scope,
    download: (remote: string, local: string, { replace = false } = {}): Promise<Copied> =>
      download(scope, requestOf(local, remote, replace)),
    upload: async (local: string, remote: string, { replace = false } = {}): Promise<Copied> => {
      const request = requestOf(local, remote, replace);
      return upload(scope, await findUpload({ ...scope, walk }, request), request);
    },
  };
}

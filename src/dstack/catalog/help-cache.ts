import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import { sha256 } from '../../core/values.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-json.ts';
import { cliIdentity } from '../locate/cli-identity.ts';
import type { CliIdentity } from '../locate/cli-identity.ts';

/** Help pages on disk, by the words of their command. */
export interface HelpCache {
  get(key: string): Promise<string | undefined>;
  /** Stores a page. It is written in the background; a failed write is only logged. */
  set(key: string, text: string): void;
  /** Resolves once everything stored so far was written or has failed. */
  settled(): Promise<void>;
}

const cacheFile = z.strictObject({
  format: z.literal(1),
  identity: cliIdentity,
  pages: z.record(z.string(), z.string()),
});

/** Opens the cache of one CLI, in one file per executable. Ignores pages of another version and a file that can't be read. */
export function openHelpCache({
  cacheDir,
  identity,
  log,
}: {
  cacheDir: string;
  identity: CliIdentity;
  log: Log;
}): HelpCache {
  const file = path.join(cacheDir, `catalog-${sha256(identity.realpath).slice(0, 16)}.json`);
  const pages = new Map<string, string>();
  let loaded: Promise<void> | undefined;
  let writing = Promise.resolve();
  let due = false;

  const load = async (): Promise<void> => {
    const stored = await readPrivateJson(file, cacheFile);
    if (stored === undefined || !isDeepStrictEqual(stored.identity, { ...identity })) {
      log.debug({ file }, 'no cached help pages');
      return;
    }
    for (const [key, text] of Object.entries(stored.pages)) if (!pages.has(key)) pages.set(key, text);
  };
  const write = async (): Promise<void> => {
    due = false;
    await writePrivateJson(file, { format: 1, identity, pages: Object.fromEntries(pages) }, log);
  };
  return {
    async get(key) {
      loaded ??= load();
      await loaded;
      return pages.get(key);
    },
    set(key, text) {
      pages.set(key, text);
      // One write covers everything that was stored before it began.
      if (!due) writing = writing.then(write);
      due = true;
    },
    settled: () => writing,
  };
}

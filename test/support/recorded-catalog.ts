import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { createCatalog } from '../../src/dstack/catalog/create-catalog.ts';
import type { Catalog } from '../../src/dstack/argv/command.ts';
import { ToolError } from '../../src/core/errors.ts';
import { fixture } from './paths.ts';
import { emptyFolder, settleBeforeRemoval } from './temporary-folders.ts';

export const silentLog = pino({ level: 'silent' });

export type RecordedVersion = '0.22.5' | '0.19.40';

/** Returns recorded help pages by the words of their command. */
export function recordedPages(version: RecordedVersion): Record<string, string> {
  const file = fixture('help', `help-${version}.json`);
  const pages: Record<string, string> = JSON.parse(readFileSync(file, 'utf8'));
  return pages;
}

/** Makes the cleanup wait for what the catalog writes. */
export function settleAtEnd(catalog: Catalog): Catalog {
  settleBeforeRemoval(() => catalog.settled());
  return catalog;
}

/** Creates a catalog from recorded help pages. Other pages fail like unknown words in argparse. */
export function recordedCatalog(version: RecordedVersion): Catalog {
  const pages = recordedPages(version);
  return settleAtEnd(
    createCatalog({
      source: {
        async read(command, configurationType) {
          const text = pages[configurationType === undefined ? command : `${command} -h ${configurationType}`];
          if (text === undefined) throw new ToolError('unknown-command', 'invalid choice', '');
          return { text };
        },
      },
      identity: { path: '/dstack', realpath: '/dstack', mtimeMs: 1, size: 1, version },
      cacheDir: emptyFolder(),
      log: silentLog,
    }),
  );
}

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll } from 'vitest';
import { createCatalog } from '../../src/dstack/catalog/catalog.ts';
import type { Catalog } from '../../src/dstack/argv/catalog-types.ts';
import { ToolError } from '../../src/core/errors.ts';
import { fixture } from './paths.ts';

export const silentLog = pino({ level: 'silent' });

const folders: string[] = [];
const catalogs: Catalog[] = [];
// Here and not in `emptyFolder`: a hook that is registered while a test runs is never called.
afterAll(async () => {
  await Promise.all(catalogs.map((catalog) => catalog.settled()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder that goes when the tests of the file have ended. */
export function emptyFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'dstack-mcp-test-'));
  folders.push(folder);
  return folder;
}

export type RecordedVersion = '0.22.5' | '0.19.40';

/** The help pages that a dstack printed, by the words that they were asked for with. */
export function recordedPages(version: RecordedVersion): Record<string, string> {
  const file = fixture('help', `help-${version}.json`);
  const pages: Record<string, string> = JSON.parse(readFileSync(file, 'utf8'));
  return pages;
}

/** Has what the catalog writes waited for before the folders go. */
export function settleAtEnd(catalog: Catalog): Catalog {
  catalogs.push(catalog);
  return catalog;
}

/** A catalog over recorded help pages; what it doesn't hold is answered as argparse answers unknown words. */
export function recordedCatalog(version: RecordedVersion): Catalog {
  const pages = recordedPages(version);
  return settleAtEnd(
    createCatalog({
      source: {
        async read(command, configurationType) {
          const text = pages[configurationType === undefined ? command : `${command} -h ${configurationType}`];
          if (text === undefined) throw new ToolError('unknown-command', 'invalid choice', '');
          return text;
        },
      },
      identity: { path: '/dstack', realpath: '/dstack', mtimeMs: 1, size: 1, version },
      cacheDir: emptyFolder(),
      log: silentLog,
    }),
  );
}

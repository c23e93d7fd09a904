import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';
import { describe } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import type { AtEnd } from '../../support/connect.ts';

const executablePath = findChromium();

/** Flags that let the browser start as root and make no requests to the outside. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Describes tests that need Chromium. Skips them if it is missing, except in CI, where they fail. */
export const describeInChromium =
  executablePath === undefined && process.env['CI'] === undefined ? describe.skip : describe;

/** Starts a browser with a new, empty profile. */
export async function openBrowser(atEnd: AtEnd): Promise<BrowserContext> {
  if (executablePath === undefined) throw new Error('Chromium was not found. Install it, or set CHROME_PATH.');
  const profile = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-chromium-'));
  atEnd(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: process.getuid?.() === 0 ? FLAGS : FLAGS.slice(1),
    viewport: { width: 900, height: 1_200 },
    // The step that a run is in pulses: without a GPU, painting that takes an eighth of a core all the time.
    reducedMotion: 'reduce',
  });
  atEnd(() => context.close());
  return context;
}

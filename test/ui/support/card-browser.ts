import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';
import { describe } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import type { AtEnd } from '../../support/connect.ts';

const executablePath = findChromium();

/** A browser as tests need it: it looks for nothing outside, and starts where it runs as root. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Tests that need a Chromium: skipped by name where there is none, except in CI, where they fail. */
export const describeInChromium =
  executablePath === undefined && process.env['CI'] === undefined ? describe.skip : describe;

/** Starts a browser with a new, empty profile. */
export async function openBrowser(atEnd: AtEnd): Promise<BrowserContext> {
  if (executablePath === undefined)
    throw new Error('There is no Chromium here: install one, or name it with CHROME_PATH.');
  const profile = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-chromium-'));
  atEnd(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: process.getuid?.() === 0 ? FLAGS : FLAGS.slice(1),
    viewport: { width: 900, height: 1_200 },
  });
  atEnd(() => context.close());
  return context;
}

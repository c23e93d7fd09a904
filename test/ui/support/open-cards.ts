import type { Client } from '@modelcontextprotocol/client';
import type { BrowserContext, FrameLocator, Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import * as z from 'zod';
import { connectCardClient } from '../../../scripts/ui-client.ts';
import type { Era } from '../../../scripts/ui-client.ts';
import { startCardHost } from '../../../scripts/ui-host.ts';
import type { CardHost, HostActivity, HostAppearance } from '../../../ui/host-page/card-host.ts';
import type { AtEnd } from '../../support/connect.ts';
import { builtServer } from '../../support/paths.ts';

declare global {
  /** What the host's page offers to tests. */
  var cardHost: CardHost;
}

/** A result as a host gets it. */
export interface CardResult {
  readonly isError?: boolean | undefined;
  readonly structuredContent: Record<string, unknown>;
  readonly card: Record<string, unknown> | undefined;
  readonly raw: unknown;
}

/** A page with cards, and the client behind it. */
export interface Cards {
  readonly client: Client;
  readonly page: Page;
  /** The newest card. */
  readonly card: FrameLocator;
  /** Calls a tool as a model would; the card shows what came of it. */
  call(tool: string, input?: Record<string, unknown>): Promise<CardResult>;
  /** Shows a result that didn't come from the server. */
  show(result: unknown, input?: Record<string, unknown>): Promise<void>;
  look(look: HostAppearance): Promise<void>;
  heard(): Promise<HostActivity>;
  clear(): Promise<void>;
  /** What went wrong in the page: errors of scripts, what a policy refused, requests that left it. */
  readonly troubles: readonly string[];
}

const toolResult = z.looseObject({
  isError: z.boolean().optional(),
  structuredContent: z.record(z.string(), z.unknown()),
  _meta: z.looseObject({ 'dstack-mcp/card': z.record(z.string(), z.unknown()).optional() }).optional(),
});

/** Reads a result as far as tests look at it. */
function readCardResult(raw: unknown): CardResult {
  const { isError, structuredContent, _meta } = toolResult.parse(raw);
  return { isError, structuredContent, card: _meta?.['dstack-mcp/card'], raw };
}

export interface OpenCardsOptions {
  readonly browser: BrowserContext;
  readonly env: Readonly<Record<string, string>>;
  readonly era?: Era;
  /** Without, the client declares no MCP Apps. */
  readonly showsCards?: boolean;
  readonly atEnd?: AtEnd;
}

/** Connects to the built server over stdio as a host of MCP Apps, and opens a page that shows its cards. */
export async function openCards({
  browser,
  env,
  era = '2026-07-28',
  showsCards = true,
  atEnd = onTestFinished,
}: OpenCardsOptions): Promise<Cards> {
  const client = await connectCardClient({ env, server: builtServer, era, showsCards });
  atEnd(() => client.close());
  const host = await startCardHost(client);
  atEnd(() => host.close());
  const page = await browser.newPage();
  atEnd(() => page.close());
  // A limit against hangs, as that of the tests: a busy machine may take long.
  page.setDefaultTimeout(100_000);
  const troubles: string[] = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('dialog', (dialog) => void dialog.dismiss().then(() => troubles.push('a dialog was opened')));
  page.on('console', (message) => {
    // A host may give the card no clipboard: then it copies by a selection.
    const isAboutClipboard = message.text().includes('Clipboard API has been blocked');
    if (message.type() === 'error' && !isAboutClipboard) troubles.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(host.url) && !request.url().startsWith('about:'))
      troubles.push(`asked for ${request.url()}`);
  });
  await page.goto(host.url);
  return {
    client,
    page,
    card: page.frameLocator('iframe').last(),
    troubles,
    call: async (tool, input = {}) =>
      readCardResult(
        await page.evaluate(([name, given]) => globalThis.cardHost.call(name, given), [tool, input] as const),
      ),
    show: (result, input = {}) =>
      page.evaluate(([shown, given]) => globalThis.cardHost.show(shown, given), [result, input] as const),
    look: (look) => page.evaluate((given) => globalThis.cardHost.setAppearance(given), look),
    heard: () => page.evaluate(() => globalThis.cardHost.activity()),
    clear: () => page.evaluate(() => globalThis.cardHost.clear()),
  };
}

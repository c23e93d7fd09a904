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
  /** The API of the host page. */
  var cardHost: CardHost;
}

/** A tool result with its card data. */
export interface CardResult {
  readonly isError?: boolean | undefined;
  readonly facts: Record<string, unknown>;
  readonly card: Record<string, unknown> | undefined;
  readonly raw: unknown;
}

/** A page with cards, and the client that it uses. */
export interface Cards {
  readonly client: Client;
  readonly page: Page;
  /** The newest card. */
  readonly card: FrameLocator;
  /** Calls a tool as a model would and shows the result in a new card. */
  call(tool: string, input?: Record<string, unknown>): Promise<CardResult>;
  /** Shows any result in a new card. */
  show(result: unknown, input?: Record<string, unknown>): Promise<void>;
  setAppearance(appearance: HostAppearance): Promise<void>;
  activity(): Promise<HostActivity>;
  clear(): Promise<void>;
  /** Script errors, policy violations and requests to other origins. */
  readonly problems: readonly string[];
}

const toolResult = z.looseObject({
  isError: z.boolean().optional(),
  _meta: z
    .looseObject({ 'dstack-mcp/card': z.looseObject({ facts: z.record(z.string(), z.unknown()) }).optional() })
    .optional(),
});

function readCardResult(raw: unknown): CardResult {
  const { isError, _meta } = toolResult.parse(raw);
  const card = _meta?.['dstack-mcp/card'];
  return { isError, facts: card?.facts ?? {}, card, raw };
}

export interface OpenCardsOptions {
  readonly browser: BrowserContext;
  readonly env: Readonly<Record<string, string>>;
  readonly era?: Era;
  /** Whether the client declares MCP Apps. Defaults to true. */
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
  // Only guards against hangs, like the tests' timeout, since a busy machine may take long.
  page.setDefaultTimeout(100_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('dialog', (dialog) => void dialog.dismiss().then(() => problems.push('a dialog was opened')));
  page.on('console', (message) => {
    // Without the Clipboard API, the card copies by a selection.
    const isAboutClipboard = message.text().includes('Clipboard API has been blocked');
    if (message.type() === 'error' && !isAboutClipboard) problems.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(host.url) && !request.url().startsWith('about:'))
      problems.push(`asked for ${request.url()}`);
  });
  await page.goto(host.url);
  return {
    client,
    page,
    card: page.frameLocator('iframe').last(),
    problems,
    call: async (tool, input = {}) =>
      readCardResult(
        await page.evaluate(([name, given]) => globalThis.cardHost.call(name, given), [tool, input] as const),
      ),
    show: (result, input = {}) =>
      page.evaluate(([shown, given]) => globalThis.cardHost.show(shown, given), [result, input] as const),
    setAppearance: (appearance) => page.evaluate((given) => globalThis.cardHost.setAppearance(given), appearance),
    activity: () => page.evaluate(() => globalThis.cardHost.activity()),
    clear: () => page.evaluate(() => globalThis.cardHost.clear()),
  };
}

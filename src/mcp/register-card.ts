import type { McpServer } from '@modelcontextprotocol/server';
import { readFile } from 'node:fs/promises';
import { CARD_MIME_TYPE, CARD_URI } from '../core/card.ts';

/** Nothing may be fetched, framed or connected to: the page has all that it needs in itself. The clipboard is for its copy buttons. */
const META = { ui: { csp: {}, permissions: { clipboardWrite: {} }, prefersBorder: true } };

/** Serves the card's page. It holds no data: what it shows comes with each result. */
export function serveCard(server: McpServer, file: string): void {
  server.registerResource(
    'card',
    CARD_URI,
    {
      title: 'dstack card',
      description: 'Shows a plan with Approve and Decline, runs, and offers',
      mimeType: CARD_MIME_TYPE,
      _meta: META,
    },
    async () => ({
      contents: [{ uri: CARD_URI, mimeType: CARD_MIME_TYPE, text: await readFile(file, 'utf8'), _meta: META }],
    }),
  );
}

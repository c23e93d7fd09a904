import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import type { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { runOfUri } from './resource-definitions.ts';
import type { RunWatch } from './watch-runs.ts';

/**
 * Detects which resources a client of protocol 2026-07-28 listens to, from the messages of its connection: the SDK answers
 * `subscriptions/listen` without saying who listens to what.
 */
export interface SubscriptionListener {
  /** Takes a message from the client, before it is handled. */
  received(message: unknown): void;
  /** Takes a message to the client. */
  sent(message: unknown): void;
  /** Ends every subscription: the connection is closed. */
  close(): void;
}

const id = z.union([z.string(), z.number()]);
const listen = z.looseObject({
  method: z.literal('subscriptions/listen'),
  id,
  params: z.looseObject({ notifications: z.looseObject({ resourceSubscriptions: z.array(z.string()) }) }),
});
const cancelled = z.looseObject({
  method: z.literal('notifications/cancelled'),
  params: z.looseObject({ requestId: id }),
});
const failed = z.looseObject({ id, error: z.unknown() });

/** Creates the listener. `watch` starts watching a URI and returns how to stop, or undefined for a URI that sends no updates. */
export function createSubscriptionListener(watch: (uri: string) => (() => void) | undefined): SubscriptionListener {
  const open = new Map<string | number, readonly (() => void)[]>();
  const end = (key: string | number): void => {
    const ends = open.get(key) ?? [];
    open.delete(key);
    for (const one of ends) one();
  };
  return {
    received(message) {
      const begun = listen.safeParse(message);
      if (begun.success) {
        const uris = new Set(begun.data.params.notifications.resourceSubscriptions);
        const ends = [...uris].flatMap((uri) => watch(uri) ?? []);
        // A repeated id replaces the earlier request.
        end(begun.data.id);
        open.set(begun.data.id, ends);
        return;
      }
      const ended = cancelled.safeParse(message);
      if (ended.success) end(ended.data.params.requestId);
    },
    sent(message) {
      // A rejected request, for example one of too many, isn't a subscription.
      const refused = failed.safeParse(message);
      if (refused.success && refused.data.error !== undefined) end(refused.data.id);
    },
    close() {
      for (const key of open.keys()) end(key);
    },
  };
}

/** Serves `resources/subscribe` of protocol 2025-11-25. Returns a function that ends every subscription of this connection. */
export function registerSubscriptions(server: McpServer, watch: RunWatch): () => void {
  const open = new Map<string, () => void>();
  server.server.setRequestHandler('resources/subscribe', ({ params: { uri } }) => {
    const run = runOfUri(uri);
    if (run === undefined)
      throw new ProtocolError(
        ProtocolErrorCode.InvalidParams,
        `${uri.slice(0, 200)} sends no updates. Only dstack://runs/{name} does.`,
      );
    if (open.has(uri)) return {};
    const end = watch.watch(run);
    if (end === undefined) throw new ProtocolError(ProtocolErrorCode.InternalError, 'Too many runs are being watched.');
    open.set(uri, end);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    open.get(uri)?.();
    open.delete(uri);
    return {};
  });
  return () => {
    for (const end of open.values()) end();
    open.clear();
  };
}

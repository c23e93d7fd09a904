import * as z from 'zod';

/** Tells which resources a client of protocol 2026-07-28 listens to, from the messages that go by. */
export interface ListenObserver {
  /** A message from the client, before it is handled. */
  received(message: unknown): void;
  /** A message to the client. */
  sent(message: unknown): void;
  /** The connection is over: nobody listens any more. */
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

/** Creates the observer. `watch` begins to watch a URI and gives what ends it, or nothing for a URI that sends no updates. */
export function createListenObserver(watch: (uri: string) => (() => void) | undefined): ListenObserver {
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
        // The same id again takes the place of the one before.
        end(begun.data.id);
        open.set(begun.data.id, ends);
        return;
      }
      const ended = cancelled.safeParse(message);
      if (ended.success) end(ended.data.params.requestId);
    },
    sent(message) {
      // A refused request, as where there are too many: nobody listens after all.
      const refused = failed.safeParse(message);
      if (refused.success && refused.data.error !== undefined) end(refused.data.id);
    },
    close() {
      for (const key of open.keys()) end(key);
    },
  };
}

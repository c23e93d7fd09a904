import type { Transport } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { ListenObserver } from './subscription-listener.ts';

export interface ObservedTransport extends Transport {
  /** Resolves when nothing comes or goes any more, whoever ended it: the SDK itself does so at a line of over 10 MB. */
  readonly closed: Promise<void>;
}

/** The transport over standard input and output, which lets the observer see each message, since the SDK answers `subscriptions/listen` without telling who listens to what. */
export function observeStdio(observer: ListenObserver): ObservedTransport {
  const inner = new StdioServerTransport();
  let tellClosed = (): void => undefined;
  const closed = new Promise<void>((resolve) => {
    tellClosed = resolve;
  });
  const outer: ObservedTransport = {
    closed,
    start: () => inner.start(),
    close: () => inner.close(),
    send: (message) => {
      observer.sent(message);
      return inner.send(message);
    },
  };
  inner.onmessage = (message) => {
    observer.received(message);
    outer.onmessage?.(message);
  };
  inner.onerror = (error) => outer.onerror?.(error);
  inner.onclose = () => {
    observer.close();
    outer.onclose?.();
    tellClosed();
  };
  return outer;
}

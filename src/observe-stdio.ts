import type { Transport } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { ListenObserver } from './resources/listen-observer.ts';

/** The transport over standard input and output, which lets the observer see each message, since the SDK answers `subscriptions/listen` without telling who listens to what. */
export function observeStdio(observer: ListenObserver): Transport {
  const inner = new StdioServerTransport();
  const outer: Transport = {
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
  };
  return outer;
}

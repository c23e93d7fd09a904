import { textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** JSON-RPC with another window. */
export interface Rpc {
  request(method: string, params: object): Promise<Facts>;
  notify(method: string, params: object): void;
}

export interface RpcOptions {
  /** The one window that is spoken to and listened to. */
  readonly target: Window;
  readonly onNotification: (method: string, params: Facts) => void;
  /** What is answered to the other side's requests; to all others, that there is no such method. */
  readonly answers: Readonly<Record<string, () => Facts>>;
}

/** A call ends within a minute or two by itself; a host that says nothing for longer has lost it. */
const LOST_MS = 180_000;
const METHOD_NOT_FOUND = -32_601;

interface Waiting {
  resolve(result: Facts): void;
  reject(error: Error): void;
}

/** Opens JSON-RPC with a window; messages of all other windows are passed over. */
export function createRpc({ target, onNotification, answers }: RpcOptions): Rpc {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  // The host's origin isn't known here, and differs from host to host: who gets a message is settled by the window.
  const post = (message: object): void => target.postMessage({ jsonrpc: '2.0', ...message }, '*');

  const take = (message: Facts): void => {
    const method = textOf(message, 'method');
    const id = message['id'];
    if (method === undefined) {
      if (typeof id === 'number') settle(waiting.get(id), message);
    } else if (id === undefined) onNotification(method, toFacts(message['params']));
    else answer(id, method);
  };
  const answer = (id: unknown, method: string): void => {
    const make = Object.hasOwn(answers, method) ? answers[method] : undefined;
    if (make === undefined) post({ id, error: { code: METHOD_NOT_FOUND, message: `There is no ${method} here.` } });
    else post({ id, result: make() });
  };

  window.addEventListener('message', ({ source, data }: MessageEvent<unknown>) => {
    const message = toFacts(data);
    if (source === target && message['jsonrpc'] === '2.0') take(message);
  });
  return {
    notify: (method, params) => post({ method, params }),
    request(method, params) {
      lastId += 1;
      const id = lastId;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const answered = new Promise<Facts>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        timer = setTimeout(() => reject(new Error(`The host didn't answer ${method}.`)), LOST_MS);
      });
      post({ id, method, params });
      return answered.finally(() => {
        clearTimeout(timer);
        waiting.delete(id);
      });
    },
  };
}

function settle(waiting: Waiting | undefined, message: Facts): void {
  if ('error' in message)
    waiting?.reject(new Error(textOf(toFacts(message['error']), 'message') ?? 'The host said no.'));
  else waiting?.resolve(toFacts(message['result']));
}

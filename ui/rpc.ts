import { textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** JSON-RPC with another window. */
export interface Rpc {
  request(method: string, params: object): Promise<Facts>;
  notify(method: string, params: object): void;
}

export interface RpcOptions {
  /** The only window that messages are sent to and accepted from. */
  readonly target: Window;
  readonly onNotification: (method: string, params: Facts) => void;
  /** The results of the methods that the other side may call. */
  readonly answers: Readonly<Record<string, () => Facts>>;
}

/** Calls end within two minutes, so a host that takes longer has lost the request. */
const TIMEOUT_MS = 180_000;
const METHOD_NOT_FOUND = -32_601;

interface PendingRequest {
  resolve(result: Facts): void;
  reject(error: Error): void;
}

/** Starts JSON-RPC with a window. Ignores messages of all other windows. */
export function createRpc({ target, onNotification, answers }: RpcOptions): Rpc {
  const pending = new Map<number, PendingRequest>();
  let lastId = 0;
  // The host's origin is unknown here and differs between hosts. The window alone determines the recipient.
  const post = (message: object): void => target.postMessage({ jsonrpc: '2.0', ...message }, '*');

  const receive = (message: Facts): void => {
    const method = textOf(message, 'method');
    const id = message['id'];
    if (method === undefined) {
      if (typeof id === 'number') settle(pending.get(id), message);
    } else if (id === undefined) onNotification(method, toFacts(message['params']));
    else answer(id, method);
  };
  const answer = (id: unknown, method: string): void => {
    const handle = Object.hasOwn(answers, method) ? answers[method] : undefined;
    if (handle === undefined) post({ id, error: { code: METHOD_NOT_FOUND, message: `Method not found: ${method}` } });
    else post({ id, result: handle() });
  };

  window.addEventListener('message', ({ source, data }: MessageEvent<unknown>) => {
    const message = toFacts(data);
    if (source === target && message['jsonrpc'] === '2.0') receive(message);
  });
  return {
    notify: (method, params) => post({ method, params }),
    request(method, params) {
      lastId += 1;
      const id = lastId;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const answered = new Promise<Facts>((resolve, reject) => {
        pending.set(id, { resolve, reject });
        timer = setTimeout(() => reject(new Error(`The host did not answer ${method}.`)), TIMEOUT_MS);
      });
      post({ id, method, params });
      return answered.finally(() => {
        clearTimeout(timer);
        pending.delete(id);
      });
    },
  };
}

function settle(pending: PendingRequest | undefined, message: Facts): void {
  if ('error' in message)
    pending?.reject(new Error(textOf(toFacts(message['error']), 'message') ?? 'The host rejected the request.'));
  else pending?.resolve(toFacts(message['result']));
}

import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import type { Transport } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { Log } from '../core/log.ts';
import { promiseWithResolvers } from '../core/waiting.ts';
import type { SubscriptionListener } from './subscriptions.ts';

interface StdioTransport extends Transport {
  /** Resolves once the transport is closed, by either side. */
  readonly closed: Promise<void>;
}

/** The SDK closes the connection at a message of more than its buffer, so such a message never reaches it. */
const MAX_MESSAGE_BYTES = 10_000_000;

/** JSON-RPC's answer to a message that wasn't read, whose id is therefore unknown. */
const TOO_LONG = {
  jsonrpc: '2.0',
  id: null,
  error: { code: -32_700, message: 'The message is longer than 10 MB. It was not read, and nothing was run.' },
} as const;

/** Creates the transport over standard input and output; it shows each message to the listener. */
export function createStdioTransport(listener: SubscriptionListener, log: Log): StdioTransport {
  const input = new LineLimit(MAX_MESSAGE_BYTES, () => {
    log.warn({ limit: MAX_MESSAGE_BYTES }, 'a message was too long and was dropped');
    process.stdout.write(`${JSON.stringify(TOO_LONG)}\n`);
  });
  process.stdin.on('error', (error) => input.destroy(error)).pipe(input);
  const inner = new StdioServerTransport(input, process.stdout, { maxBufferSize: 2 * MAX_MESSAGE_BYTES });
  const closed = promiseWithResolvers<void>();
  const outer: StdioTransport = {
    closed: closed.promise,
    start: () => inner.start(),
    close: () => inner.close(),
    send: (message) => {
      listener.sent(message);
      return inner.send(message);
    },
  };
  inner.onmessage = (message) => {
    listener.received(message);
    outer.onmessage?.(message);
  };
  inner.onerror = (error) => outer.onerror?.(error);
  inner.onclose = () => {
    listener.close();
    outer.onclose?.();
    closed.resolve();
  };
  return outer;
}

const NEWLINE = 0x0a;

/** Passes on lines once they are complete, and drops those that are too long, without keeping them in memory. */
export class LineLimit extends Transform {
  readonly #maxBytes: number;
  readonly #onDropped: () => void;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number, onDropped: () => void) {
    super();
    this.#maxBytes = maxBytes;
    this.#onDropped = onDropped;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end + 1));
      this.#endLine();
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    callback();
  }

  #keep(piece: Buffer): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#maxBytes) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  #endLine(): void {
    if (this.#bytes > this.#maxBytes) this.#onDropped();
    else this.push(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#bytes = 0;
  }
}

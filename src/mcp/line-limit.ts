import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';

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

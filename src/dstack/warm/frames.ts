/** What a frame says, by its letter. The Python side is `worker/control_frames.py`. */
const MEANINGS = {
  // To the worker.
  R: 'a request',
  G: 'the request that was acknowledged may run',
  K: "a signal for the request's process group",
  '?': 'are you alive',
  // From the worker.
  r: 'ready',
  a: 'a child holds the request and waits for the word to go',
  n: 'refused: nothing ran',
  o: 'standard output',
  e: 'standard error',
  x: 'the child ended',
  '!': 'alive',
} as const;

export type FrameKind = keyof typeof MEANINGS;

const isFrameKind = (letter: string): letter is FrameKind => letter in MEANINGS;

export interface Frame {
  readonly kind: FrameKind;
  readonly request: number;
  readonly payload: Buffer;
}

const HEADER_BYTES = 9;

/** One frame on the wire: length (4 bytes), kind (1 byte), request (4 bytes), payload. */
export function encodeFrame(kind: FrameKind, request: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(payload.length, 0);
  header.write(kind, 4, 'latin1');
  header.writeUInt32BE(request, 5);
  return Buffer.concat([header, payload]);
}

/** Takes pieces of a stream and calls back for each whole frame, in order. */
export function createFrameReader(onFrame: (frame: Frame) => void): (piece: Buffer) => void {
  let pieces: Buffer[] = [];
  let bytes = 0;
  // Joined only when a frame is whole: joining at each piece would copy a long frame over and over.
  let wanted = HEADER_BYTES;
  return (piece) => {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < wanted) return;
    let pending = pieces.length === 1 ? piece : Buffer.concat(pieces, bytes);
    for (;;) {
      wanted = pending.length < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + pending.readUInt32BE(0);
      if (pending.length < wanted) break;
      const kind = pending.toString('latin1', 4, 5);
      const request = pending.readUInt32BE(5);
      const payload = pending.subarray(HEADER_BYTES, wanted);
      pending = pending.subarray(wanted);
      if (isFrameKind(kind)) onFrame({ kind, request, payload });
    }
    pieces = pending.length === 0 ? [] : [pending];
    bytes = pending.length;
  };
}

/** The payload of a request: the length of its description, the description (JSON), then input and pinned content. */
export function encodeRequest(description: object, ...blobs: readonly Uint8Array[]): Buffer {
  const text = Buffer.from(JSON.stringify(description));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, ...blobs]);
}

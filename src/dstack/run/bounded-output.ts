/** Text that was cut between characters. If anything is missing, a line in its place says how much. */
export interface BoundedText {
  readonly text: string;
  readonly omittedBytes: number;
}

/** Collects a stream; keeps only its two ends if it is larger than `keepBytes`. */
export interface BoundedOutput {
  add(chunk: Uint8Array): void;
  finish(): BoundedText;
}

/** Creates a collector that keeps at most about `keepBytes` in memory, however much arrives. */
export function createBoundedOutput(keepBytes: number): BoundedOutput {
  const headLimit = Math.ceil(keepBytes / 2);
  const tailLimit = Math.floor(keepBytes / 2);
  const head: Buffer[] = [];
  let tail: Buffer[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let dropped = 0;

  const addTail = (chunk: Buffer): void => {
    tail.push(chunk);
    tailBytes += chunk.length;
    // Joins many small chunks occasionally, so that dropping from the front stays cheap.
    if (tailBytes <= tailLimit * 2 && tail.length < 1024) return;
    const whole = Buffer.concat(tail);
    const kept = whole.subarray(Math.max(0, whole.length - tailLimit));
    dropped += whole.length - kept.length;
    tail = [Buffer.from(kept)];
    tailBytes = kept.length;
  };
  return {
    add(chunk) {
      const bytes = Buffer.from(chunk);
      const room = Math.min(bytes.length, headLimit - headBytes);
      if (room > 0) {
        head.push(bytes.subarray(0, room));
        headBytes += room;
      }
      if (room < bytes.length) addTail(bytes.subarray(room));
    },
    finish() {
      const first = Buffer.concat(head);
      const rest = Buffer.concat(tail);
      if (dropped === 0 && rest.length <= tailLimit)
        return { text: Buffer.concat([first, rest]).toString('utf8'), omittedBytes: 0 };
      const end = lastBoundary(first);
      const from = firstBoundary(rest, Math.max(0, rest.length - tailLimit));
      const omittedBytes = dropped + from + (first.length - end);
      const mark = `\n[... ${omittedBytes} bytes left out here ...]\n`;
      return { text: first.toString('utf8', 0, end) + mark + rest.toString('utf8', from), omittedBytes };
    },
  };
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Returns the end of the last complete UTF-8 character. */
function lastBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (isContinuation(byte)) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** Returns the start of the first complete UTF-8 character at or after `from`. */
function firstBoundary(bytes: Buffer, from: number): number {
  let at = from;
  while (at < from + 3 && isContinuation(bytes[at])) at++;
  return at;
}

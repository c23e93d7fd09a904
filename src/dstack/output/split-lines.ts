/** One line of a log without its line ending, reduced to its last progress-bar state. */
export interface LogLine {
  /** Starts at 1. */
  readonly number: number;
  readonly text: string;
  /** Whether the line exceeded the limit. Its middle is missing, and the text says so. */
  readonly cut: boolean;
}

export interface LineTotals {
  readonly lines: number;
  readonly bytes: number;
  readonly foldedStates: number;
}

const MAX_LINE_CHARS = 8192;
const CUT_END_CHARS = 1024;

/** Splits a stream of bytes into lines of bounded length, in bounded memory. */
export function createLineSplitter(onLine: (line: LogLine) => void): {
  readonly write: (chunk: Uint8Array) => void;
  readonly end: () => LineTotals;
} {
  const decoder = new TextDecoder();
  let bytes = 0;
  let number = 0;
  let foldedStates = 0;
  let pending = createPendingLine();
  const finishLine = (): void => {
    number += 1;
    foldedStates += pending.overwritten();
    onLine({ number, ...pending.finish() });
    pending = createPendingLine();
  };
  const take = (text: string): void => {
    let start = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const piece = text.slice(start, end);
      // The fast path for nearly all lines: a log of 100 MB has a million of them.
      if (pending.isUntouched() && piece.length <= MAX_LINE_CHARS && !piece.includes('\r')) {
        number += 1;
        onLine({ number, text: piece, cut: false });
      } else {
        pending.add(piece);
        finishLine();
      }
      start = end + 1;
    }
    pending.add(text.slice(start));
  };
  return {
    write: (chunk) => {
      bytes += chunk.byteLength;
      take(decoder.decode(chunk, { stream: true }));
    },
    end: () => {
      take(decoder.decode());
      if (!pending.isEmpty()) finishLine();
      return { lines: number, bytes, foldedStates };
    },
  };
}

/** Accumulates an incomplete line: its last state on a terminal, without the middle beyond the limit. */
function createPendingLine() {
  let head = '';
  let tail = '';
  let dropped = 0;
  let overwritten = 0;
  let returned = false;
  const append = (state: string): void => {
    if (returned && head !== '') overwritten += 1;
    if (returned) [head, tail, dropped, returned] = ['', '', 0, false];
    const room = MAX_LINE_CHARS - head.length;
    head += state.slice(0, room);
    tail += state.slice(room);
    const excess = Math.max(0, tail.length - CUT_END_CHARS);
    dropped += excess;
    tail = tail.slice(excess);
  };
  return {
    add(piece: string): void {
      for (const [index, state] of piece.split('\r').entries()) {
        returned ||= index > 0;
        if (state !== '') append(state);
      }
    },
    isEmpty: () => head === '',
    isUntouched: () => head === '' && !returned,
    overwritten: () => overwritten,
    finish: () => ({
      text: dropped === 0 ? head + tail : `${head}[... ${dropped} characters cut ...]${tail}`,
      cut: dropped > 0,
    }),
  };
}

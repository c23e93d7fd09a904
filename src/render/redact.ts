import { MASK, maskText } from './mask-places.ts';

/** Masks secrets in texts. */
export interface Redactor {
  /** Adds values to mask. Ignores values shorter than 6 characters, which would mask ordinary words. */
  readonly add: (secrets: Iterable<string>) => void;
  /** Masks every known secret: the plain value, and its JSON, URL and Base64 encodings. Masks private keys and users in URLs, too. */
  readonly redact: (text: string) => string;
}

const MIN_LENGTH = 6;

/** Creates a redactor. It never forgets a secret: one that was replaced may still occur in an old log. */
export function createRedactor(): Redactor {
  const encodings = new Set<string>();
  let pattern: RegExp | undefined;
  return {
    add: (secrets) => {
      const before = encodings.size;
      for (const secret of secrets) for (const encoding of encodingsOf(secret)) encodings.add(encoding);
      if (encodings.size !== before) pattern = anyOf(encodings);
    },
    redact: (text) => maskText(pattern === undefined ? text : text.replace(pattern, MASK)),
  };
}

function encodingsOf(secret: string): string[] {
  const value = secret.trim();
  if (value.length < MIN_LENGTH) return [];
  // A key of several lines may be printed line by line, with any indentation.
  const lines = value.split(/\r?\n/).filter((line) => line.trim().length >= 16);
  const plain = value.includes('\n') ? [value, ...lines.map((line) => line.trim())] : [value];
  return [
    ...plain,
    ...plain.map((text) => JSON.stringify(text).slice(1, -1)),
    ...plain.map(urlEncode),
    ...plain.flatMap(base64Encodings),
  ];
}

// A lone surrogate has no URL encoding.
function urlEncode(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Returns the encodings of a value inside a longer Base64 text (`user:token`): one per offset, without the shared letters at the ends. */
function base64Encodings(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const whole = Math.floor(((offset + bytes.length) * 8) / 6);
    const inner = encoded.slice(offset === 0 ? 0 : offset + 1, whole);
    // Shorter ones would match by chance.
    return inner.length < 8 ? [] : [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Returns a pattern that tries the longest text first, so that a secret that begins like another one is masked completely. */
function anyOf(texts: Iterable<string>): RegExp {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(sorted.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
}

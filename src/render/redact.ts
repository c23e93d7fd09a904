/** Masks secrets wherever they turn up. */
export interface Redactor {
  /** From now on these values are masked; ones shorter than 6 characters aren't, since they would mask ordinary words. */
  readonly add: (secrets: Iterable<string>) => void;
  /** The text with every known secret masked: as it is, and in JSON, URL and base 64 spelling. */
  readonly redact: (text: string) => string;
}

const MIN_LENGTH = 6;
const MASK = '[masked]';

/** Creates a redactor. It only ever learns: a secret that was changed may still turn up in an old log. */
export function createRedactor(secrets: Iterable<string> = []): Redactor {
  const spellings = new Set<string>();
  let pattern: RegExp | undefined;
  const add = (more: Iterable<string>): void => {
    const before = spellings.size;
    for (const secret of more) for (const spelling of spellingsOf(secret)) spellings.add(spelling);
    if (spellings.size !== before) pattern = anyOf(spellings);
  };
  add(secrets);
  return {
    add,
    redact: (text) => (pattern === undefined ? text : text.replace(pattern, MASK)),
  };
}

function spellingsOf(secret: string): string[] {
  const value = secret.trim();
  if (value.length < MIN_LENGTH) return [];
  // A key of several lines is shown line by line, each with an indentation of its own.
  const lines = value.split(/\r?\n/).filter((line) => line.trim().length >= 16);
  const plain = value.includes('\n') ? [value, ...lines.map((line) => line.trim())] : [value];
  return [
    ...plain,
    ...plain.map((text) => JSON.stringify(text).slice(1, -1)),
    ...plain.map(urlEncode),
    ...plain.flatMap(base64Spellings),
  ];
}

// A lone surrogate has no URL spelling.
function urlEncode(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

/** How the value looks inside a longer base 64 text (`user:token`): at each of the three offsets, without the mixed letters at its ends. */
function base64Spellings(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const whole = Math.floor(((offset + bytes.length) * 8) / 6);
    const inner = encoded.slice(offset === 0 ? 0 : offset + 1, whole);
    // Shorter ones would match by chance.
    return inner.length < 8 ? [] : [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** Longest first, so that a secret that begins like another is masked to its end. */
function anyOf(texts: Iterable<string>): RegExp {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  return new RegExp(sorted.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
}

import { isRecord } from '../core/values.ts';

/** Replaces a masked value. */
export const MASK = '[masked]';

/** The kind of a place whose values are masked. In `env`, names are kept, also those in `NAME=value`. */
export type SecretPlace = 'env' | 'secret';

const SECRET_NAME =
  /^(?:ssh_?key.*|registry_?auth|(?:.*[_-])?(?:password|passwd|passphrase|secret|token|api_?key|private_?key|access_?key|secret_?key|credentials?|creds|authorization))$/i;

/** Properties of models, such as the end of a sequence. */
const NO_SECRET = /^(?:bos|eos|pad|unk)_token$/i;

/** Returns whether the value of a property is masked by the property's name alone. */
export function secretPlace(name: string | undefined): SecretPlace | undefined {
  if (name === undefined || name.length > 200) return undefined;
  if (name === 'env') return 'env';
  return SECRET_NAME.test(name) && !NO_SECRET.test(name) ? 'secret' : undefined;
}

/** Masks one scalar in a secret place. Variables that are only named keep their name. */
export function maskScalar(value: string, place: SecretPlace, isListed: boolean): string {
  if (place !== 'env' || !isListed) return MASK;
  const sign = value.indexOf('=');
  return sign === -1 ? value : `${value.slice(0, sign)}=${MASK}`;
}

/** Masks every value in a secret place of a structure, and every secret in its strings. Keeps names, `null` and the shape. */
export function maskPlaces(value: unknown, place?: SecretPlace, isListed = false): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => maskPlaces(item, place, true));
  if (isRecord(value)) {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([name, item]) => [name, maskPlaces(item, place ?? secretPlace(name))]));
  }
  if (place !== undefined && value !== null && value !== undefined)
    return typeof value === 'string' ? maskScalar(value, place, isListed) : MASK;
  return typeof value === 'string' ? maskText(maskEmbedded(value)) : value;
}

/** Masks the secrets in a string that is itself JSON, such as a backend's own data. */
const maskEmbedded = (text: string): string => (/^[[{]/.test(text) ? maskOutput(text) : text);

// With a password in any URL, with any user name in those of HTTP, where it is usually a token. Each part is bounded, so that
// matching takes linear time.
const URL_USER =
  /\b(https?:\/\/)[^\s/?#@"'<>]{1,2000}@|\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#@:"'<>]{0,500}:[^\s/?#@"'<>]{1,2000}@/gi;
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?/g;

/** Masks what is a secret wherever it occurs: private keys, and the user part of URLs. */
export function maskText(text: string): string {
  return text
    .replace(URL_USER, (_, http: string | undefined, other: string | undefined) => `${http ?? other ?? ''}${MASK}@`)
    .replace(PRIVATE_KEY, MASK);
}

interface Level {
  readonly isObject: boolean;
  /** The secret place that the level is in. */
  readonly place: SecretPlace | undefined;
  /** The property whose value comes next. */
  name: string | undefined;
}

const SCALAR_END = /[\s,\]}]/g;
const NOT_SPACE = /\S/g;

/**
 * Masks every value in a secret place of the JSON in a command's output, and keeps the rest verbatim: the text may have warnings
 * before the JSON, and may be cut. A bracket at the start of a line starts new JSON.
 */
export function maskOutput(text: string): string {
  if (!/^[[{]/m.test(text)) return maskText(text);
  const pieces: string[] = [];
  let kept = 0;
  let stack: Level[] = [];
  const replace = (from: number, to: number, by: string): void => {
    pieces.push(text.slice(kept, from), by);
    kept = to;
  };
  const scalar = (from: number, to: number, isString: boolean): void => {
    const level = stack.at(-1);
    if (level === undefined) return;
    const place = level.place ?? secretPlace(level.name);
    const raw = text.slice(from, to);
    if (place === undefined) {
      if (isString && /^"[[{]/.test(raw)) maskString(raw, from, to);
    } else if (raw !== 'null') {
      replace(from, to, JSON.stringify(maskScalar(isString ? decode(raw) : raw, place, !level.isObject)));
    }
    level.name = undefined;
  };
  const maskString = (raw: string, from: number, to: number): void => {
    const inner = decode(raw);
    const masked = maskEmbedded(inner);
    if (masked !== inner) replace(from, to, JSON.stringify(masked));
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '{' || character === '[') {
      if (at === 0 || text.charAt(at - 1) === '\n') stack = [];
      const parent = stack.at(-1);
      stack.push({
        isObject: character === '{',
        place: parent === undefined ? undefined : (parent.place ?? secretPlace(parent.name)),
        name: undefined,
      });
    } else if (stack.length === 0) {
      // Text around the JSON: the next line may start it.
      const line = text.indexOf('\n', at);
      if (line === -1) break;
      at = line;
    } else if (character === '}' || character === ']') {
      stack.pop();
      const parent = stack.at(-1);
      if (parent !== undefined) parent.name = undefined;
    } else if (character === '"') {
      const end = endOfString(text, at);
      const level = stack.at(-1);
      if (level?.isObject === true && level.name === undefined && isFollowedByColon(text, end))
        level.name = decode(text.slice(at, end));
      else scalar(at, end, true);
      at = end - 1;
    } else if (/[\w+.-]/.test(character)) {
      SCALAR_END.lastIndex = at;
      const end = SCALAR_END.exec(text)?.index ?? text.length;
      scalar(at, end, false);
      at = end - 1;
    }
  }
  pieces.push(text.slice(kept));
  return maskText(pieces.join(''));
}

/** Returns the index after a string. JSON has no line break in a string, so an unclosed one ends with its line. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '\\') at += 1;
    else if (character === '"') return at + 1;
    else if (character === '\n') return at;
  }
  return text.length;
}

function isFollowedByColon(text: string, at: number): boolean {
  NOT_SPACE.lastIndex = at;
  return NOT_SPACE.exec(text)?.[0] === ':';
}

/** Decodes a string, which may be cut. */
function decode(raw: string): string {
  try {
    return String(JSON.parse(raw));
  } catch {
    return raw.slice(raw.startsWith('"') ? 1 : 0).replace(/\\(.)/gs, '$1');
  }
}

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

import { createHash } from 'node:crypto';
import { distance } from 'fastest-levenshtein';

/** Narrows a value to a plain object: not null, an array or a date. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** Returns the SHA-256 of a text or of bytes, in hex. */
export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** Formats an hourly price as dstack does: `$0.39/h`. */
export function formatPrice(dollarsPerHour: number | null): string {
  const amount = formatDollars(dollarsPerHour);
  return amount === UNKNOWN_PRICE ? amount : `${amount}/h`;
}

const UNKNOWN_PRICE = 'an unknown price';

/**
 * Formats an amount in US dollars with two to four decimals: `$0.39`, `$1.30`, `$0.1234`. An unknown amount is reported as unknown, and
 * one below the last decimal is never shown as free.
 */
export function formatDollars(dollars: number | null): string {
  if (dollars === null || !Number.isFinite(dollars)) return UNKNOWN_PRICE;
  if (dollars > 0 && dollars < 0.000_05) return '< $0.0001';
  return `$${dollars.toFixed(4).replace(/0{1,2}$/, '')}`;
}

const SECONDS_PER: Readonly<Record<string, number>> = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };

/** Returns the hours of a duration that dstack printed (`2h`, `90m`, `1d`); undefined for `off` and anything else. */
export function readDurationHours(text: string | undefined): number | undefined {
  const [, digits, unit = ''] = /^(\d+)([wdhms])$/.exec(text ?? '') ?? [];
  const seconds = SECONDS_PER[unit];
  return digits === undefined || seconds === undefined ? undefined : (Number(digits) * seconds) / 3_600;
}

/** Formats a duration with its two largest units: `1h 15m`, `45s`, `2d 3h`. */
export function formatDuration(durationMs: number): string {
  let rest = Math.max(0, Math.round(durationMs / 1_000));
  const parts: string[] = [];
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = SECONDS_PER[unit] ?? 1;
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0) parts.push(`${whole}${unit}`);
  }
  return parts.slice(0, 2).join(' ') || '0s';
}

/** Returns a count with its noun: `1 run`, `2 runs`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Joins parts of a sentence: `a`, `a and b`, `a, b and c`. */
export const joinParts = (parts: readonly string[], word = 'and'): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} ${word} ${parts.at(-1)}`;

/** Returns a size as bytes, KB or MB, whichever fits. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return plural(bytes, 'byte');
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

/** Formats a time in the time zone of this computer: `Nov 30, 18:00 GMT+1`. */
export const formatLocalTime = (time: Date): string =>
  new Intl.DateTimeFormat('en-US', {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  }).format(time);

/** Escapes all but ASCII in a JSON text, so that no character can control a terminal or be invisible. */
export const toAsciiJson = (json: string): string =>
  json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Joins alternatives: `a`, `a or b`, `a, b or c`. */
export const joinOr = (names: readonly string[]): string => joinParts(names, 'or');

/** An upper limit in dollars. `unknown` is never treated as a small amount. */
export type Limit = number | 'unlimited' | 'unknown';

/** The maximum cost of a change. */
export interface Cost {
  /** Dollars per hour of all machines at the offer that would be used now; absent if that isn't known. */
  readonly pricePerHour?: number;
  /** The most that it can cost per hour: all machines at the highest price. */
  readonly mostPerHour: Limit;
  /** The most that it can cost until it ends. */
  readonly mostInTotal: Limit;
  /** The time that the total is for: running, stopping and idling. Present if all of it has a limit. */
  readonly hours?: number;
}

const UNKNOWN = 'unknown price';

/** Describes a cost in the words of the plan, the question and the card: `$0.39/h (up to $0.78/h), at most $1.69 in 2h 10m`. */
export function describeCost({ pricePerHour, mostPerHour, mostInTotal, hours }: Cost): string {
  if (pricePerHour === undefined && mostPerHour === 'unknown')
    return mostInTotal === 'unlimited' ? `${UNKNOWN}, no limit in total` : UNKNOWN;
  const total = { unlimited: 'no limit in total', unknown: 'unknown in total' };
  const time = hours === undefined ? 'total' : formatDuration(hours * 3_600_000);
  return [
    describeHour(pricePerHour, mostPerHour),
    typeof mostInTotal === 'number' ? `at most ${formatDollars(mostInTotal)} in ${time}` : total[mostInTotal],
  ].join(', ');
}

function describeHour(pricePerHour: number | undefined, most: Limit): string {
  const words = { unlimited: 'no limit per hour', unknown: 'unknown maximum' };
  const limit = typeof most === 'number' ? `up to ${formatPrice(most)}` : words[most];
  if (pricePerHour === undefined) return limit;
  if (pricePerHour === 0 && most !== 0) return `$0 now, ${limit}`;
  return pricePerHour === most ? formatPrice(most) : `${formatPrice(pricePerHour)} (${limit})`;
}

const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** Quotes a word for a POSIX shell, if necessary. Every command that a person is advised to run is quoted by it. */
const quoteWord = (word: string): string =>
  PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** Formats a command as it would be typed into a shell. */
export const joinWords = (words: readonly string[]): string => words.map(quoteWord).join(' ');

/** Words that people and models use, with dstack's own. */
const MEANT: Readonly<Record<string, string>> = {
  cost: 'price',
  budget: 'price',
  spend: 'price',
  time: 'duration',
  timeout: 'duration',
  runtime: 'duration',
  zone: 'region',
  location: 'region',
  provider: 'backend',
  cloud: 'backend',
  ram: 'memory',
  mem: 'memory',
  storage: 'disk',
  gpus: 'gpu',
  accelerator: 'gpu',
  cpus: 'cpu',
  preemptible: 'spot',
  interruptible: 'spot',
  environment: 'env',
  cluster: 'fleet',
};

/** Returns a name with each of its words replaced by dstack's. */
const meantBy = (name: string): string =>
  name.replace(/[a-z]+/g, (word) => (Object.hasOwn(MEANT, word) ? (MEANT[word] ?? word) : word));

const MAX_NAMES = 3;

/** Returns the documented names that a mistaken one most likely means, nearest first; none if nothing is near. */
export function nearestNames(wanted: string, documented: readonly string[]): string[] {
  const typed = wanted.toLowerCase().slice(0, 80);
  const meant = meantBy(typed);
  if (meant !== typed && documented.includes(meant)) return [meant];
  const word = meant;
  const bare = word.replace(/^-+/, '');
  const parts = bare.split(/[-_]/);
  return documented
    .map((name) => ({ name, edits: distance(word, name) }))
    .filter(({ name, edits }) => {
      const sharesPart = bare.length >= 3 && parts.some((part) => name.replace(/^-+/, '').split('-').includes(part));
      return edits <= Math.max(2, Math.floor(name.length / 3)) || sharesPart || name.startsWith(word);
    })
    .sort((one, other) => one.edits - other.edits)
    .slice(0, MAX_NAMES)
    .map(({ name }) => name);
}

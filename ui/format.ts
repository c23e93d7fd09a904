/** Formats times for the host's locale. */
export interface Formats {
  /** Formats a date and time. Returns the text unchanged if it isn't a date. */
  readonly date: (instant: string) => string;
}

/** Creates the formats for a locale and a time zone. Defaults to those of the browser if it doesn't know them. */
export function createFormats(locale?: string, timeZone?: string): Formats {
  try {
    return formatsOf(locale, timeZone);
  } catch {
    return formatsOf();
  }
}

function formatsOf(locale?: string, timeZone?: string): Formats {
  const time = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone });
  return {
    date(instant) {
      const at = Date.parse(instant);
      return Number.isNaN(at) ? instant : time.format(at);
    },
  };
}

/**
 * Formats US dollars as the server does (`src/core/values.ts`), in every locale: the card, the plan and dstack's own
 * output show the same text for the same amount.
 */
export function formatDollars(dollars: number): string {
  if (!Number.isFinite(dollars)) return 'an unknown price';
  if (dollars > 0 && dollars < 0.000_05) return '< $0.0001';
  return `$${dollars.toFixed(4).replace(/0{1,2}$/, '')}`;
}

/** Formats the lowest and highest price, or one price if they are the same. */
export const formatPriceRange = (low: number, high: number): string =>
  low === high ? formatDollars(low) : `${formatDollars(low)} – ${formatDollars(high)}`;

/** Returns a count with its noun: `1 line`, `2 lines`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** Formats a duration by its two largest units: `2 h 5 min`. */
function formatDuration(milliseconds: number): string {
  let rest = Math.max(0, Math.floor(milliseconds / 1_000));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0) parts.push(`${whole} ${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}

/** Formats an elapsed time with tenths below ten seconds: `340 ms`, `2.4 s`, `1 min 5 s`. */
export function formatElapsed(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  return milliseconds < 10_000 ? `${(milliseconds / 1_000).toFixed(1)} s` : formatDuration(milliseconds);
}

/** Formats a size as the server does (`src/core/values.ts`). */
export function formatSize(bytes: number): string {
  if (bytes < 1024) return plural(bytes, 'byte');
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

/** Formats dstack's `RTX4090:24GB:2` as `2 × RTX4090 24GB`. */
export function describeGpu(gpu: string): string {
  const [, name, memory, count] = /^([^:]+):([\d.]+[GT]B)(?::(\d+(?:\.\.\d+)?))?$/.exec(gpu) ?? [];
  if (name === undefined || memory === undefined) return gpu;
  return `${count === undefined || count === '1' ? '' : `${count.replace('..', '–')} × `}${name} ${memory}`;
}

/** Formats the time since an instant, to the minute, or in seconds below one minute. */
export function formatAge(instant: string, now: number): string {
  const at = Date.parse(instant);
  if (Number.isNaN(at)) return instant;
  const passed = Math.max(0, now - at);
  return formatDuration(passed < 60_000 ? passed : Math.floor(passed / 60_000) * 60_000);
}

/** Formats remaining time as a clock: `9:41`. */
export function formatClock(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

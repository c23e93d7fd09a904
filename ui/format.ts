/** Numbers, money and times as people write them where the host is. */
export interface Formats {
  /** Dollars: two digits behind the point, four where they would otherwise read as nothing. */
  readonly money: (dollars: number) => string;
  /** Date and time of an instant; the text itself where it is none. */
  readonly date: (instant: string) => string;
  readonly hours: (hours: number) => string;
}

/** Makes the formats of a locale and a time zone; those of the browser where the host names none that it knows. */
export function createFormats(locale?: string, timeZone?: string): Formats {
  try {
    return formatsOf(locale, timeZone);
  } catch {
    // What a host gives may be no locale or time zone of this browser.
    return formatsOf();
  }
}

function formatsOf(locale?: string, timeZone?: string): Formats {
  const dollars = (digits: number): Intl.NumberFormat =>
    new Intl.NumberFormat(locale, {
      style: 'currency',
      currency: 'USD',
      currencyDisplay: 'narrowSymbol',
      minimumFractionDigits: 2,
      maximumFractionDigits: digits,
    });
  const [cents, fractions] = [dollars(2), dollars(4)];
  const hour = new Intl.NumberFormat(locale, { style: 'unit', unit: 'hour', maximumFractionDigits: 1 });
  const time = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone });
  return {
    money: (amount) => (amount !== 0 && Math.abs(amount) < 0.1 ? fractions : cents).format(amount),
    hours: (value) => hour.format(value),
    date(instant) {
      const at = Date.parse(instant);
      return Number.isNaN(at) ? instant : time.format(at);
    },
  };
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const;

/** A length of time by its two largest units, as in `2 h 5 min`. */
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

/** A GPU as a person says it: `2 × RTX4090 24GB` for dstack's `RTX4090:24GB:2`. */
export function describeGpu(gpu: string): string {
  const [, name, memory, count] = /^([^:]+):([\d.]+[GT]B)(?::(\d+(?:\.\.\d+)?))?$/.exec(gpu) ?? [];
  if (name === undefined || memory === undefined) return gpu;
  return `${count === undefined || count === '1' ? '' : `${count.replace('..', '–')} × `}${name} ${memory}`;
}

/** How long ago something was, to the minute; seconds only where it is less than one. */
export function formatAge(instant: string, now: number): string {
  const at = Date.parse(instant);
  if (Number.isNaN(at)) return instant;
  const passed = Math.max(0, now - at);
  return formatDuration(passed < 60_000 ? passed : Math.floor(passed / 60_000) * 60_000);
}

/** Time that is left, as a clock shows it: `9:41`. */
export function formatClock(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

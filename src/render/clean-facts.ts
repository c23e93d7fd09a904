import { isRecord } from '../core/values.ts';
import { cleanBlock, cleanLine } from './untrusted.ts';

const MAX_STRING_CHARS = 20_000;
const MAX_ITEMS = 1_000;
const MAX_DEPTH = 30;
/** For all strings together: structured content has no other limit. */
const MAX_CHARS = 200_000;

/** Short strings, such as a token, are always kept. */
const MIN_CHARS = 500;

/** Makes every string of a structure safe to show, names of properties included, and bounds its size. */
export function cleanFacts(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  let left = MAX_CHARS;
  const clean = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') {
      const text = cleanBlock(value, Math.min(MAX_STRING_CHARS, Math.max(MIN_CHARS, left)));
      left -= text.length;
      return text;
    }
    if (depth > MAX_DEPTH) return Array.isArray(value) ? [] : isRecord(value) ? {} : value;
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const item of value.slice(0, MAX_ITEMS)) {
        if (left <= 0) break;
        items.push(clean(item, depth + 1));
      }
      return items;
    }
    if (!isRecord(value)) return value;
    const entries = Object.entries(value).slice(0, MAX_ITEMS);
    return Object.fromEntries(entries.map(([name, item]) => [cleanLine(name, 200), clean(item, depth + 1)]));
  };
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [cleanLine(name, 200), clean(value, 0)]));
}

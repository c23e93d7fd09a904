import { ToolError } from '../core/errors.ts';
import { isRecord } from '../core/values.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';

/** A text and what this server's YAML parser reads from it. */
export interface OwnReading {
  readonly text: string;
  readonly value: unknown;
  readonly shownPath: string;
}

/** dstack's own YAML loader, and whether its reading is needed: without it, nothing that this server read may be judged. */
export interface DstackReader {
  readonly introspection: Pick<Introspection, 'load'>;
  readonly isPython: boolean;
}

/**
 * Makes sure that dstack reads a text exactly as this server does: what the policy, the price caps and the user judge is then what
 * dstack applies. The two YAML parsers differ in rare cases, such as line separators in comments and merge keys.
 * @throws ToolError `invalid-file` if the readings differ; `cli-not-understood` if dstack's parser doesn't answer
 */
export async function assertOneReading({ introspection, isPython }: DstackReader, own: OwnReading): Promise<void> {
  const loaded = await introspection.load(own.text);
  if (loaded === undefined) {
    if (!isPython) return;
    throw new ToolError(
      'cli-not-understood',
      `dstack's own parser didn't answer, so ${own.shownPath} can't be compared with what dstack reads. Nothing was run.`,
      'Try again. doctor shows which dstack is used.',
    );
  }
  if ('error' in loaded) return; // dstack reports it in its own words
  const place = findDifference(own.value, loaded.value, []);
  if (place === undefined) return;
  throw new ToolError(
    'invalid-file',
    `${own.shownPath} can be read in two ways: dstack and this server read different values at \`${place}\`. Nothing was run.`,
    'Write that part plainly: one property a line, no merge keys or directives, no unusual line separators, and quotes around texts that look like numbers or dates.',
  );
}

/** Returns the place where two readings differ: a path in the configuration, or `(the whole file)`. */
function findDifference(own: unknown, other: unknown, path: readonly (string | number)[]): string | undefined {
  if (Array.isArray(own) && Array.isArray(other)) {
    if (own.length !== other.length) return show(path);
    return first(own.keys(), (index) => findDifference(own[index], other[index], [...path, index]));
  }
  if (isRecord(own) && isRecord(other) && !(own instanceof Date)) {
    const names = new Set([...Object.keys(own), ...Object.keys(other)]);
    return first(names, (name) =>
      Object.hasOwn(own, name) && Object.hasOwn(other, name)
        ? findDifference(own[name], other[name], [...path, name])
        : show([...path, name]),
    );
  }
  if (own instanceof Date) return typeof other === 'string' && /^<date(?:time)?>$/.test(other) ? undefined : show(path);
  return Object.is(own, other) || (own === 0 && other === 0) ? undefined : show(path);
}

function first<T>(items: Iterable<T>, find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

const show = (path: readonly (string | number)[]): string =>
  path.length === 0
    ? '(the whole file)'
    : path
        .map((part) =>
          JSON.stringify(part)
            .slice(0, 100)
            .replace(/^"([\w-]+)"$/, '$1'),
        )
        .join('.');

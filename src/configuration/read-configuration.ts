import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { isRecord } from '../core/values.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { codeFrame, decodeText, parseText, positionAt } from './configuration-text.ts';

/** The properties that plans need before dstack reads the file. dstack's parser, not this one, decides whether it is valid. */
export interface ConfigurationHead {
  readonly type: string;
  readonly name: string | undefined;
  /** Nodes of a task or replicas of a service: the most that one run can have. Undefined if the file doesn't state a plain number. */
  readonly copies: number | undefined;
  /** The parsed file, read as YAML 1.1 like dstack's own loader does. */
  readonly value: Readonly<Record<string, unknown>>;
}

const head = z.looseObject({ type: z.string(), name: z.string().nullish() });

/**
 * Reads type, name and number of copies from a configuration's bytes. Rejects duplicate keys, so that no other loader can read another value.
 * @throws ToolError `invalid-file` if it isn't a YAML mapping with a `type`.
 */
export function readConfigurationHead(bytes: Uint8Array, shownPath: string): ConfigurationHead {
  const text = decodeText(bytes, shownPath);
  const parsed = parseText(text, shownPath, { uniqueKeys: true });
  const [problem] = parsed.errors;
  if (problem !== undefined) {
    const position = positionAt(parsed, problem.offset);
    throw new ToolError(
      'invalid-file',
      `${shownPath} isn't valid YAML: ${problem.message} (line ${position.line}, column ${position.column}).`,
      'Fix that line, then plan again.',
      { untrusted: codeFrame(text, position) },
    );
  }
  const result = head.safeParse(parsed.value);
  if (!result.success) {
    throw new ToolError(
      'invalid-file',
      `${shownPath} isn't a dstack configuration: it has no \`type\`.`,
      'Add `type: task`, `service`, `dev-environment`, `fleet`, `volume` or `gateway`.',
    );
  }
  const { type, name } = result.data;
  return { type, name: name ?? undefined, copies: countCopies(result.data), value: result.data };
}

/**
 * Reads the same for a command that dstack runs on the file: makes sure that dstack reads the same values from these bytes, and can
 * be given them. Both need dstack's own interpreter.
 * @throws ToolError as `readConfigurationHead` and `assertOneReading` do; `cli-not-understood` if dstack isn't a Python script
 */
export async function readJudgedConfiguration(
  reader: DstackReader,
  { bytes, relativePath }: { readonly bytes: Uint8Array; readonly relativePath: string },
): Promise<ConfigurationHead> {
  const found = readConfigurationHead(bytes, relativePath);
  if (!reader.isPython) throw notPython(relativePath);
  await assertOneReading(reader, {
    text: decodeText(bytes, relativePath),
    value: found.value,
    shownPath: relativePath,
  });
  return found;
}

const notPython = (file: string): ToolError =>
  new ToolError(
    'cli-not-understood',
    `The dstack executable isn't a Python script, nor a wrapper that leads to one, so it can't be made to read ${file} exactly as it was judged. Nothing was run or sent.`,
    "doctor says what the executable is. The user can set DSTACK_MCP_CLI to dstack's own script, which `pip show -f dstack` lists.",
  );

const MAX_COUNT_CHARS = 100;

function countCopies(value: Readonly<Record<string, unknown>>): number | undefined {
  const counted =
    value['type'] === 'task' ? value['nodes'] : value['type'] === 'service' ? value['replicas'] : (value['nodes'] ?? 1);
  if (counted === undefined || counted === null) return 1;
  if (typeof counted === 'number') return counted;
  const range = z.object({ max: z.number() }).safeParse(counted);
  if (range.success) return range.data.max;
  // A longer one isn't a count, and would be searched in quadratic time.
  if (typeof counted !== 'string' || counted.length > MAX_COUNT_CHARS) return undefined;
  const most = /^\s*(?:\d+\s*\.\.)?\s*(\d+)\s*$/.exec(counted)?.[1];
  return most === undefined ? undefined : Number(most);
}

/** A text and what this server's YAML parser reads from it. */
interface OwnReading {
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

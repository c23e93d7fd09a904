import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { assertOneReading } from './compare-readings.ts';
import type { DstackReader } from './compare-readings.ts';
import { codeFrame, decodeText, parseText, positionAt } from './parse-text.ts';

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
      `${shownPath} isn't valid YAML: ${problem.message} (line ${position.line}, column ${position.column})\n\n${codeFrame(text, position)}`,
      'Fix that line, then plan again.',
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

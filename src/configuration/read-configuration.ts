import { parseDocument } from 'yaml';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';

/** What the flows need of a configuration before dstack reads it. dstack's parser, not this, says whether it is valid. */
export interface ConfigurationHead {
  readonly type: string;
  readonly name: string | undefined;
  /** Nodes of a task, replicas of a service: the most that one run would hold. `undefined` where the file doesn't say it plainly. */
  readonly copies: number | undefined;
  /** The parsed file, as YAML 1.1 like dstack's own loader. */
  readonly value: Readonly<Record<string, unknown>>;
}

const head = z.looseObject({ type: z.string(), name: z.string().nullish() });

/**
 * Reads type, name and number of copies from a configuration's bytes.
 * @throws ToolError `invalid-file` when it isn't a YAML mapping with a `type`.
 */
export function readConfigurationHead(bytes: Uint8Array, shownPath: string): ConfigurationHead {
  const value = parseYaml(bytes, shownPath);
  const parsed = head.safeParse(value);
  if (!parsed.success) {
    throw new ToolError(
      'invalid-file',
      `${shownPath} isn't a dstack configuration: it has no \`type\`.`,
      'Add `type: task`, `service`, `dev-environment`, `fleet`, `volume` or `gateway`.',
    );
  }
  return {
    type: parsed.data.type,
    name: parsed.data.name ?? undefined,
    copies: countCopies(parsed.data),
    value: parsed.data,
  };
}

function parseYaml(bytes: Uint8Array, shownPath: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ToolError('invalid-file', `${shownPath} isn't UTF-8 text.`, 'Save it as UTF-8.', { cause: error });
  }
  const document = parseDocument(text, { version: '1.1', uniqueKeys: true, prettyErrors: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw new ToolError(
      'invalid-file',
      `${shownPath} isn't valid YAML: ${problem.message}`,
      'Mend the line that is shown, then plan again.',
    );
  }
  try {
    // Aliases that explode are refused by the library's own limit.
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ToolError(
      'invalid-file',
      `${shownPath} can't be read: ${reason}`,
      'Write it without that many aliases.',
      { cause: error },
    );
  }
}

function countCopies(value: Readonly<Record<string, unknown>>): number | undefined {
  const counted =
    value['type'] === 'task' ? value['nodes'] : value['type'] === 'service' ? value['replicas'] : (value['nodes'] ?? 1);
  if (counted === undefined || counted === null) return 1;
  if (typeof counted === 'number') return counted;
  const range = z.object({ max: z.number() }).safeParse(counted);
  if (range.success) return range.data.max;
  if (typeof counted === 'string') {
    const most = /^\s*(?:\d+\s*\.\.)?\s*(\d+)\s*$/.exec(counted)?.[1];
    return most === undefined ? undefined : Number(most);
  }
  return undefined;
}

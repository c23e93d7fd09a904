import type { Log } from '../core/log.ts';

/** What names there are to be completed. */
export const NAME_KINDS = ['run', 'fleet', 'volume', 'gateway', 'gpu', 'command', 'type', 'configuration'] as const;
export type NameKind = (typeof NAME_KINDS)[number];

/** What a read tool answered, as far as names are looked for in it. */
export interface ToolAnswer {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Readonly<Record<string, unknown>>;
}

export interface NameSourceOptions {
  /** Calls a read tool, with everything that a client's own call goes through. */
  readonly call: (tool: string, input: Readonly<Record<string, unknown>>) => Promise<ToolAnswer>;
  /** The commands that the installed CLI documents below one, or its own for ''. */
  readonly commands: (parent: string) => Promise<readonly string[]>;
  readonly log: Log;
  readonly now: () => number;
}

export interface NameSource {
  /** The names that begin with `prefix`, at most a hundred. Where dstack can't be asked there are none. */
  complete(kind: NameKind, prefix: string): Promise<string[]>;
}

/** A client asks at every key: the same list does for so long. */
const FRESH_MS = 10_000;
/** The protocol's limit of one answer. */
const MAX_NAMES = 100;

/** Where the names are: which tool lists them, and under which key; none where the list is of names. */
const LISTS: Readonly<
  Record<
    Exclude<NameKind, 'command'>,
    { tool: string; input: Readonly<Record<string, unknown>>; at: string; key: string }
  >
> = {
  run: { tool: 'ps', input: { last: 100 }, at: 'runs', key: 'name' },
  fleet: { tool: 'fleet', input: {}, at: 'fleets', key: 'name' },
  volume: { tool: 'list', input: { kind: 'volumes' }, at: 'items', key: 'NAME' },
  gateway: { tool: 'list', input: { kind: 'gateways' }, at: 'items', key: 'NAME' },
  type: { tool: 'config', input: { action: 'describe' }, at: 'types', key: '' },
  configuration: { tool: 'config', input: { action: 'find' }, at: 'files', key: 'path' },
  gpu: { tool: 'offer', input: { group_by: ['gpu'], max_offers: 500 }, at: 'gpus', key: 'gpu' },
};

/** Creates the source of names for completions: one question at a time per kind, its answer kept for a moment. */
export function createNameSource({ call, commands, log, now }: NameSourceOptions): NameSource {
  const kept = new Map<NameKind, { readonly names: Promise<readonly string[]>; readonly askedAt: number }>();

  const ask = async (kind: Exclude<NameKind, 'command'>): Promise<readonly string[]> => {
    const { tool, input, at, key } = LISTS[kind];
    const answer = await call(tool, input);
    if (answer.isError) throw new Error(answer.text.split('\n')[0]);
    return readNames(answer.structured[at], key);
  };

  const names = (kind: NameKind, prefix: string): Promise<readonly string[]> => {
    // The catalog keeps its own pages.
    if (kind === 'command') return commandsUnder(prefix);
    const last = kept.get(kind);
    if (last !== undefined && now() - last.askedAt < FRESH_MS) return last.names;
    const asked = { names: ask(kind), askedAt: now() };
    kept.set(kind, asked);
    asked.names.catch(() => {
      // A failure isn't kept: the next key may find dstack again.
      if (kept.get(kind) === asked) kept.delete(kind);
    });
    return asked.names;
  };

  const commandsUnder = async (prefix: string): Promise<readonly string[]> => {
    const parent = prefix.slice(0, Math.max(0, prefix.lastIndexOf(' ')));
    return (await commands(parent)).map((name) => (parent === '' ? name : `${parent} ${name}`));
  };

  return {
    async complete(kind, prefix) {
      try {
        const wanted = prefix.toLowerCase();
        return (await names(kind, prefix)).filter((name) => name.toLowerCase().startsWith(wanted)).slice(0, MAX_NAMES);
      } catch (error) {
        log.warn({ err: error, kind }, 'no names to complete');
        return [];
      }
    },
  };
}

function readNames(rows: unknown, key: string): string[] {
  if (!Array.isArray(rows)) return [];
  const names = rows.flatMap((row: unknown) => {
    const name: unknown =
      typeof row === 'object' && row !== null ? Reflect.get(row, key) : key === '' ? row : undefined;
    return typeof name === 'string' && name !== '' ? [name] : [];
  });
  return [...new Set(names)];
}

import type { CallOutcome, ToolAnswer } from '../tool/call-tool.ts';
import type { CallContext } from '../tool/tool-context.ts';
import type { Log } from '../core/log.ts';
import { cleanLine } from '../render/untrusted.ts';

/** The part that runs the calls. A server that is never called doesn't load it: it is most of the program. */
export interface Engine extends Completions {
  readonly call: CallTool;
  readonly read: ReadThroughTool;
  /** Makes the client's roots the workspace. */
  useRoots(this: void, folders: readonly string[]): void;
  /** Starts a warm dstack process in the background: calls will follow. */
  warmUp(this: void): void;
}

/** Loads the engine at the first use, and returns the same one from then on. */
export type LoadEngine = () => Promise<Engine>;

/** Calls the tool with this name with a client's raw arguments. */
export type CallTool = (tool: string, raw: unknown, context: CallContext) => Promise<CallOutcome>;

/** Calls a read tool for a resource, a completion or a subscription: like any tool call, but it never asks a person. */
export type ReadThroughTool = (
  tool: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<ToolAnswer>;

/** The kinds of names that can be completed. */
export const NAME_KINDS = ['run', 'fleet', 'volume', 'gateway', 'gpu', 'command', 'type', 'configuration'] as const;
export type NameKind = (typeof NAME_KINDS)[number];

export interface CompletionsOptions {
  /** Calls a read tool, with every check of a client's own call. */
  readonly call: (tool: string, input: Readonly<Record<string, unknown>>) => Promise<ToolAnswer>;
  /** Returns the documented subcommands of a command; '' for the top level. */
  readonly commands: (parent: string) => Promise<readonly string[]>;
  readonly log: Log;
  readonly now: () => number;
}

export interface Completions {
  /** Returns the names that begin with `prefix`, at most a hundred; none if dstack can't be asked. */
  complete(kind: NameKind, prefix: string): Promise<string[]>;
}

/** Clients ask on every keystroke: a list is reused for this long. */
const FRESH_MS = 10_000;
/** The protocol's limit for one response. */
const MAX_NAMES = 100;
const MAX_NAME_CHARS = 300;

/** The tool that lists each kind, where the list is in its result, and the key of the name; '' if the items are the names. */
const LISTS: Readonly<
  Record<
    Exclude<NameKind, 'command'>,
    { tool: string; input: Readonly<Record<string, unknown>>; at: string; key: string }
  >
> = {
  run: { tool: 'ps', input: { last: 100 }, at: 'runs', key: 'name' },
  fleet: { tool: 'fleet', input: {}, at: 'fleets', key: 'name' },
  volume: { tool: 'list', input: { type: 'volumes' }, at: 'items', key: 'NAME' },
  gateway: { tool: 'list', input: { type: 'gateways' }, at: 'items', key: 'NAME' },
  type: { tool: 'config', input: { action: 'describe' }, at: 'types', key: '' },
  configuration: { tool: 'config', input: { action: 'find' }, at: 'files', key: 'path' },
  gpu: { tool: 'offer', input: { group_by: ['gpu'], max_offers: 500 }, at: 'gpus', key: 'gpu' },
};

/** Creates completions: one request at a time per kind, whose result is cached briefly. */
export function createCompletions({ call, commands, log, now }: CompletionsOptions): Completions {
  const cache = new Map<NameKind, { readonly names: Promise<readonly string[]>; readonly askedAt: number }>();

  const ask = async (kind: Exclude<NameKind, 'command'>): Promise<readonly string[]> => {
    const { tool, input, at, key } = LISTS[kind];
    const answer = await call(tool, input);
    if (answer.isError) throw new Error(answer.text.split('\n')[0]);
    return readNames(answer.structured[at], key);
  };

  const names = (kind: NameKind, prefix: string): Promise<readonly string[]> => {
    // The catalog caches its own pages.
    if (kind === 'command') return commandsUnder(prefix);
    const last = cache.get(kind);
    if (last !== undefined && now() - last.askedAt < FRESH_MS) return last.names;
    const asked = { names: ask(kind), askedAt: now() };
    cache.set(kind, asked);
    asked.names.catch(() => {
      // A failure isn't cached: dstack may be back at the next keystroke.
      if (cache.get(kind) === asked) cache.delete(kind);
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
        return (await names(kind, prefix))
          .filter((name) => isPlain(name) && name.toLowerCase().startsWith(wanted))
          .slice(0, MAX_NAMES);
      } catch (error) {
        log.warn({ err: error, kind }, 'completions failed');
        return [];
      }
    },
  };
}

/** The client shows the name, and it has to be the real one: a name that has to be cleaned isn't offered. */
const isPlain = (name: string): boolean =>
  name === cleanLine(name, MAX_NAME_CHARS) && !/\u27E8U\+|[\u2400-\u2421]/.test(name);

function readNames(rows: unknown, key: string): string[] {
  if (!Array.isArray(rows)) return [];
  const names = rows.flatMap((row: unknown) => {
    const name: unknown =
      typeof row === 'object' && row !== null ? Reflect.get(row, key) : key === '' ? row : undefined;
    return typeof name === 'string' && name !== '' ? [name] : [];
  });
  return [...new Set(names)];
}

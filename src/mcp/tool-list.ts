import entries from './tool-list.json' with { type: 'json' };

export type JsonSchema = Readonly<Record<string, unknown>>;

/** A tool as it is known before it is called: a server that is never called needn't load its tools. */
export interface ToolEntry {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema: JsonSchema;
  readonly annotations: { readonly readOnlyHint: boolean; readonly destructiveHint?: boolean };
  /** Its `_meta` for a client with cards. */
  readonly cardMeta?: Readonly<Record<string, unknown>>;
  /** It is listed only for a client with cards: their buttons call it. */
  readonly isForCards: boolean;
  /** It takes paths of files, so that it needs the client's current roots. */
  readonly takesFiles: boolean;
}

/** Every tool, in the order of `tools/index.ts`, from which `npm run generate` writes this list. */
export const TOOL_LIST: readonly ToolEntry[] = entries;

/** The parts of the list that depend on the client. */
export interface ListedFor {
  /** The client shows cards: their buttons' tool and their page are listed. */
  readonly cards: boolean;
  /** Results have structured content, which an output schema describes. */
  readonly structured: boolean;
  /** The prefix of all names. Defaults to none. */
  readonly prefix?: string;
}

/** A tool as `tools/list` returns it. */
export interface ListedTool extends Pick<ToolEntry, 'name' | 'title' | 'description' | 'annotations'> {
  readonly inputSchema: JsonSchema & { readonly type: 'object' };
  readonly outputSchema?: JsonSchema & { readonly type: 'object' };
  readonly _meta?: Record<string, unknown>;
}

/** Lists the tools for one client: a model reads the list in every conversation, so it has nothing that this client can't use. */
export const listTools = (tools: readonly ToolEntry[], { cards, structured, prefix = '' }: ListedFor): ListedTool[] =>
  tools
    .filter(({ isForCards }) => cards || !isForCards)
    .map(({ name, title, description, inputSchema, outputSchema, annotations, cardMeta }) => ({
      name: `${prefix}${name}`,
      title,
      description,
      inputSchema: { ...inputSchema, type: 'object' },
      ...(structured ? { outputSchema: { ...outputSchema, type: 'object' } } : {}),
      annotations,
      ...(cards && cardMeta !== undefined ? { _meta: cardMeta } : {}),
    }));

/** Names that are common words, too: after these words they aren't a tool. */
const NOT_A_TOOL_AFTER =
  "a|an|the|this|that|these|its|their|each|every|another|new|no|of|to|can|can't|could|would|may|must|will|don't|doesn't|didn't|dstack";

/**
 * Returns how a text for a model names tools that have a prefix: `call plan again` becomes `call gpu_plan again`. A name that is used as
 * a common word (`the plan`), an argument (`fleet` in backticks), or a command of dstack stays as it is written.
 */
export function createToolNaming(prefix: string, names: readonly string[]): (text: string) => string {
  if (prefix === '') return (text) => text;
  const tool = new RegExp(
    String.raw`(?<![\w\x60"'/.-]|\b(?:${NOT_A_TOOL_AFTER}) )(${[...names].sort((a, b) => b.length - a.length).join('|')})(?![\w\x60"'/-]|\.\w)`,
    'gi',
  );
  const isName = new Set(names);
  return (text) => text.replace(tool, (word) => (isName.has(word) ? `${prefix}${word}` : word));
}

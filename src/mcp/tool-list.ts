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

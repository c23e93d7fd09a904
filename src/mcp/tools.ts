import { CLIENT_CAPABILITIES_META_KEY } from '@modelcontextprotocol/server';
import type {
  CallToolResult,
  InputRequiredResult,
  McpServer,
  RequestStateCodec,
  ServerContext,
  StandardSchemaWithJSON,
} from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { CallOutcome } from '../tool/call-tool.ts';
import type { CallContext } from '../tool/tool-context.ts';
import { CARD_META } from '../core/report.ts';
import type { Answer } from '../core/report.ts';
import {
  askForAnswer,
  askForRoots,
  readAnswer,
  readClientCapabilities,
  readRoots,
  requestAnswer,
  requestRoots,
} from './client.ts';
import type { ClientCapabilities } from './client.ts';
import type { LoadEngine } from './engine.ts';
import entries from './tool-list.json' with { type: 'json' };

const questionState = z.object({ nonce: z.string(), tool: z.string() });

/** The sealed state of a question while the client has it. */
export type QuestionState = z.output<typeof questionState>;

/** Services that the servers of all connections share. */
export interface SharedServices {
  readonly engine: LoadEngine;
  readonly states: RequestStateCodec<QuestionState>;
  /** The card's page; undefined if no card is served. */
  readonly cardFile: string | undefined;
  /** The operator wants structured content in every result that the protocol allows it in. */
  readonly wantsStructured: boolean;
  readonly toolPrefix: string;
  /** Names tools in a text for the model. */
  readonly nameTools: (text: string) => string;
  /** The client's roots become the workspace: the operator has set none. */
  readonly usesRoots: boolean;
}

export interface ToolServices extends SharedServices {
  readonly server: McpServer;
  readonly session: Session;
}

/** Facts about the client of one connection that it doesn't declare. */
export interface Session {
  /** It declares forms, but a form ended with an error or without an answer: it is treated as a client that never declared them. */
  formsFail: boolean;
}

/** Registers the tools, and their list for each client. */
export function registerTools(tools: readonly ToolEntry[], services: ToolServices): void {
  const { toolPrefix: prefix } = services;
  for (const tool of tools) {
    registerTool(tool.name, tool, services);
    // Both names work: the card's page and a model that read of a tool elsewhere don't know the prefix.
    if (prefix !== '') registerTool(`${prefix}${tool.name}`, tool, services);
  }
  services.server.server.setRequestHandler('tools/list', (_request, context) => {
    const { showsCards, structured } = readClient(services, context);
    return { tools: listTools(tools, { cards: showsCards, structured, prefix }) };
  });
}

function registerTool(name: string, tool: ToolEntry, services: ToolServices): void {
  const { server, states } = services;
  server.registerTool(
    name,
    { description: tool.description, inputSchema: uncheckedInput(tool) },
    async (raw: unknown, context: ServerContext): Promise<CallToolResult | InputRequiredResult> => {
      const { showsCards, hasRoots, structured, isModern } = readClient(services, context);
      const engine = await services.engine();
      if (services.usesRoots && hasRoots && tool.takesFiles) {
        if (isModern && context.mcpReq.inputResponses === undefined) return requestRoots();
        const folders = isModern ? readRoots(context) : await askForRoots(context);
        if (folders !== undefined) engine.useRoots(folders);
      }
      const callWith = (answer: Answer | undefined): Promise<CallOutcome> => {
        if (answer?.kind === 'unusable') services.session.formsFail = true;
        return engine.call(tool.name, raw, {
          canAskPerson: readClient(services, context).showsForms,
          canShowCard: showsCards,
          nameTools: services.nameTools,
          ...readContext(context),
          ...(answer === undefined ? {} : { answer }),
        });
      };
      let result = await callWith(readRepeated(tool, context));
      while (result.kind === 'question') {
        if (isModern)
          return requestAnswer(result, await states.mint({ nonce: result.nonce, tool: tool.name }, context));
        result = await callWith(await askForAnswer(result, context));
      }
      return {
        content: [
          { type: 'text', text: result.text },
          ...result.pictures.map((picture) => ({ type: 'image' as const, ...picture })),
        ],
        isError: result.isError,
        ...(structured ? { structuredContent: result.structured } : {}),
        // Hosts give their cards `_meta`, and their models the text alone.
        ...(showsCards ? { _meta: { [CARD_META]: { ...result.card, facts: result.structured } } } : {}),
      };
    },
  );
}

/** Leaves the check of the arguments to the tool call, whose error names the valid fields and the next step. */
const uncheckedInput = ({ inputSchema, outputSchema }: ToolEntry): StandardSchemaWithJSON => ({
  '~standard': {
    version: 1,
    vendor: 'dstack-mcp',
    validate: (value) => ({ value }),
    jsonSchema: { input: () => ({ ...inputSchema }), output: () => ({ ...outputSchema }) },
  },
});

/** The protocol versions before this one have no structured content: a client may pass on what it doesn't know. */
const FIRST_WITH_STRUCTURED = '2025-06-18';
/** From this version on, a question is a result, and the client repeats the call with the answer. */
const FIRST_WITH_REPEATED_CALLS = '2026-07-28';

/** Returns what the client of one request can show, and whether it gets structured content. */
export function readClient(
  { server, session, cardFile, wantsStructured }: ToolServices,
  context: ServerContext,
): ClientCapabilities & { readonly structured: boolean; readonly isModern: boolean } {
  const { showsForms, showsCards, hasRoots } = readClientCapabilities(declaredBy(server, context));
  const version = server.server.getNegotiatedProtocolVersion() ?? '';
  return {
    hasRoots,
    showsForms: showsForms && !session.formsFail,
    showsCards: showsCards && cardFile !== undefined,
    structured: wantsStructured && version >= FIRST_WITH_STRUCTURED,
    isModern: version >= FIRST_WITH_REPEATED_CALLS,
  };
}

/** Returns the declared capabilities: per connection in protocol 2025-11-25, per request in 2026-07-28. */
function declaredBy(server: McpServer, { mcpReq }: ServerContext): unknown {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return server.server.getClientCapabilities() ?? envelope[CLIENT_CAPABILITIES_META_KEY];
}

/** Request ids are chosen by the client and may be long; the log needs only the start. */
const MAX_ID_LENGTH = 64;

function readContext(context: ServerContext): Omit<CallContext, 'canAskPerson' | 'canShowCard' | 'answer'> {
  const { progressToken, traceparent } = context.mcpReq._meta ?? {};
  let step = 0;
  return {
    signal: context.mcpReq.signal,
    origin: {
      request: String(context.mcpReq.id).slice(0, MAX_ID_LENGTH),
      ...(typeof traceparent === 'string' ? { traceparent } : {}),
    },
    ...(progressToken === undefined
      ? {}
      : {
          progress: (message: string) => {
            step += 1;
            // The client may have disconnected.
            void context.mcpReq
              .notify({ method: 'notifications/progress', params: { progressToken, progress: step, message } })
              .catch(() => undefined);
          },
        }),
  };
}

/** Returns the answer if this call repeats one that ended with a question. */
function readRepeated(tool: ToolEntry, context: ServerContext): Answer | undefined {
  const state = questionState.safeParse(context.mcpReq.requestState());
  return state.success && state.data.tool === tool.name ? readAnswer(context, state.data.nonce) : undefined;
}

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

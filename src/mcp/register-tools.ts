import {
  CLIENT_CAPABILITIES_META_KEY,
  acceptedContent,
  inputRequired,
  inputResponse,
} from '@modelcontextprotocol/server';
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
import { CARD_META } from '../core/card.ts';
import { readClientCapabilities } from './client-capabilities.ts';
import { listTools } from './tool-list.ts';
import type { Answer, Question } from '../core/report.ts';
import type { AnyTool } from '../tool/tool.ts';

/** The key of a question and of its answer. */
const ANSWER = 'confirmation';

const questionState = z.object({ nonce: z.string(), tool: z.string() });

/** The sealed state of a question while the client has it. */
export type QuestionState = z.output<typeof questionState>;

/** Calls a tool with a client's raw arguments. */
export type CallTool = (tool: AnyTool, raw: unknown, context: CallContext) => Promise<CallOutcome>;

export interface ToolServices {
  readonly call: CallTool;
  readonly server: McpServer;
  readonly states: RequestStateCodec<QuestionState>;
  readonly cardIsServed: boolean;
  /** The operator wants structured content in every result that the protocol allows it in. */
  readonly wantsStructured: boolean;
}

/** Registers the tools, and their list for each client. */
export function registerTools(tools: readonly AnyTool[], services: ToolServices): void {
  for (const tool of tools) registerTool(tool, services);
  services.server.server.setRequestHandler('tools/list', (_request, context) => {
    const { showsCards, structured } = readClient(services, context);
    return { tools: listTools(tools, { cards: showsCards, structured }) };
  });
}

function registerTool(tool: AnyTool, services: ToolServices): void {
  const { call, server, states } = services;
  server.registerTool(
    tool.name,
    { description: tool.description, inputSchema: uncheckedInput(tool.input) },
    async (raw: unknown, context: ServerContext): Promise<CallToolResult | InputRequiredResult> => {
      const { showsForms, showsCards, structured } = readClient(services, context);
      const result = await call(tool, raw, {
        canAskPerson: showsForms,
        canShowCard: showsCards,
        ...readContext(tool, context),
      });
      if (result.kind === 'question')
        return ask(result, await states.mint({ nonce: result.nonce, tool: tool.name }, context));
      return {
        content: [{ type: 'text', text: result.text }],
        isError: result.isError,
        ...(structured ? { structuredContent: result.structured } : {}),
        // Hosts give their cards `_meta`, and their models the text alone.
        ...(showsCards ? { _meta: { [CARD_META]: { ...result.card, facts: result.structured } } } : {}),
      };
    },
  );
}

/** Leaves the check of the arguments to the tool call, whose error names the valid fields and the next step. */
const uncheckedInput = (schema: z.ZodObject): StandardSchemaWithJSON => ({
  '~standard': {
    version: 1,
    vendor: 'dstack-mcp',
    validate: (value) => ({ value }),
    jsonSchema: { input: () => z.toJSONSchema(schema, { io: 'input' }), output: () => z.toJSONSchema(schema) },
  },
});

/** The protocol versions before this one have no structured content: a client may pass on what it doesn't know. */
const FIRST_WITH_STRUCTURED = '2025-06-18';

/** Returns what the client of one request can show, and whether it gets structured content. */
export function readClient(
  { server, cardIsServed, wantsStructured }: Pick<ToolServices, 'server' | 'cardIsServed' | 'wantsStructured'>,
  context: ServerContext,
): { readonly showsForms: boolean; readonly showsCards: boolean; readonly structured: boolean } {
  const { showsForms, showsCards } = readClientCapabilities(declaredBy(server, context));
  const version = server.server.getNegotiatedProtocolVersion() ?? '';
  return {
    showsForms,
    showsCards: showsCards && cardIsServed,
    structured: wantsStructured && version >= FIRST_WITH_STRUCTURED,
  };
}

/** Returns the declared capabilities: per connection in protocol 2025-11-25, per request in 2026-07-28. */
function declaredBy(server: McpServer, { mcpReq }: ServerContext): unknown {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return server.server.getClientCapabilities() ?? envelope[CLIENT_CAPABILITIES_META_KEY];
}

/** Request ids are chosen by the client and may be long; the log needs only the start. */
const MAX_ID_LENGTH = 64;

function readContext(tool: AnyTool, context: ServerContext): Omit<CallContext, 'canAskPerson' | 'canShowCard'> {
  const { progressToken, traceparent } = context.mcpReq._meta ?? {};
  const answer = readAnswer(tool, context);
  let step = 0;
  return {
    signal: context.mcpReq.signal,
    origin: {
      request: String(context.mcpReq.id).slice(0, MAX_ID_LENGTH),
      ...(typeof traceparent === 'string' ? { traceparent } : {}),
    },
    ...(answer === undefined ? {} : { answer }),
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

function readAnswer(tool: AnyTool, context: ServerContext): Answer | undefined {
  const state = questionState.safeParse(context.mcpReq.requestState());
  if (!state.success || state.data.tool !== tool.name) return undefined;
  const { nonce } = state.data;
  const response = inputResponse(context.mcpReq.inputResponses, ANSWER);
  if (response.kind === 'missing') return undefined;
  const content = acceptedContent(context.mcpReq.inputResponses, ANSWER);
  if (content !== undefined) return { kind: 'accepted', content, nonce };
  return { kind: response.kind === 'elicit' && response.action === 'decline' ? 'declined' : 'cancelled', nonce };
}

function ask(question: Question, requestState: string): InputRequiredResult {
  const requestedSchema = {
    type: 'object' as const,
    properties:
      question.field === 'approve'
        ? { approve: { type: 'boolean' as const, title: 'Approve', default: false } }
        : { name: { type: 'string' as const, title: 'Type the name to confirm' } },
    required: [question.field],
  };
  return inputRequired({
    inputRequests: { [ANSWER]: inputRequired.elicit({ message: question.message, requestedSchema }) },
    requestState,
  });
}

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
import { compactSchema } from './listed-schema.ts';
import { callTool } from '../tool/call-tool.ts';
import type { CallContext } from '../tool/call-context.ts';
import { CARD_META, describeCardUse } from '../core/card.ts';
import { readAbilities } from './client-capabilities.ts';
import type { App } from '../app.ts';
import { annotationsOf, outputSchema } from '../tool/tool.ts';
import type { Answer, Question } from '../core/report.ts';
import type { AnyTool } from '../tool/tool.ts';

/** The key under which a question and its answer travel. */
const ANSWER = 'confirmation';

const questionState = z.object({ nonce: z.string(), tool: z.string() });

/** What is sealed while a question is with the client. */
export type QuestionState = z.output<typeof questionState>;

export interface ToolParts {
  readonly engine: App;
  readonly server: McpServer;
  readonly states: RequestStateCodec<QuestionState>;
  readonly cardIsServed: boolean;
}

/** Declares one tool, and answers its calls by way of `callTool`. */
export function registerTool(tool: AnyTool, { engine, server, states, cardIsServed }: ToolParts): void {
  const meta = describeCardUse(tool.card, cardIsServed);
  server.registerTool(
    tool.name,
    {
      title: tool.title,
      description: tool.description,
      inputSchema: listInput(tool.input),
      outputSchema: listOutput(outputSchema(tool)),
      annotations: annotationsOf(tool),
      ...(meta === undefined ? {} : { _meta: meta }),
    },
    async (raw: unknown, context: ServerContext): Promise<CallToolResult | InputRequiredResult> => {
      const abilities = readAbilities(declaredBy(server, context));
      const result = await callTool(engine, tool, raw, {
        canAskPerson: abilities.showsForms,
        canShowCard: abilities.showsCards && cardIsServed,
        ...readContext(tool, context),
      });
      if (result.kind === 'question')
        return ask(result, await states.mint({ nonce: result.nonce, tool: tool.name }, context));
      return {
        content: [{ type: 'text', text: result.text }],
        structuredContent: result.structured,
        isError: result.isError,
        ...(result.card === undefined ? {} : { _meta: { [CARD_META]: result.card } }),
      };
    },
  );
}

/** What the client can do: declared per connection in the older era, per request in the newer. */
function declaredBy(server: McpServer, { mcpReq }: ServerContext): unknown {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return server.server.getClientCapabilities() ?? envelope[CLIENT_CAPABILITIES_META_KEY];
}

/** Lists the input schema, but leaves the check to `callTool`: its refusal names the valid fields and the next step. */
function listInput(schema: z.ZodObject): StandardSchemaWithJSON {
  return listed(schema, (value) => ({ value }));
}

/** Lists the output schema; a result is held to the full one. */
function listOutput(schema: z.ZodObject): StandardSchemaWithJSON {
  return listed(schema, (value) => schema['~standard'].validate(value));
}

function listed(
  schema: z.ZodObject,
  validate: StandardSchemaWithJSON['~standard']['validate'],
): StandardSchemaWithJSON {
  const convert = (io: 'input' | 'output') => (): Record<string, unknown> =>
    compactSchema(z.toJSONSchema(schema, { io }), io);
  return {
    '~standard': {
      version: 1,
      vendor: 'dstack-mcp',
      validate,
      jsonSchema: { input: convert('input'), output: convert('output') },
    },
  };
}

/** The client's ids are its own; of one that is a whole text, the log needs no more. */
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
            // A client that is gone doesn't want to hear of it.
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

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
import { CARD_META, describeCardUse } from '../core/card.ts';
import { isRecord } from '../core/is-record.ts';
import { readClientCapabilities } from './client-capabilities.ts';
import { annotationsOf, outputSchema } from '../tool/tool.ts';
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
}

/** Registers one tool. */
export function registerTool(tool: AnyTool, { call, server, states, cardIsServed }: ToolServices): void {
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
      const capabilities = readClientCapabilities(declaredBy(server, context));
      const result = await call(tool, raw, {
        canAskPerson: capabilities.showsForms,
        canShowCard: capabilities.showsCards && cardIsServed,
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

/** Returns the declared capabilities: per connection in protocol 2025-11-25, per request in 2026-07-28. */
function declaredBy(server: McpServer, { mcpReq }: ServerContext): unknown {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return server.server.getClientCapabilities() ?? envelope[CLIENT_CAPABILITIES_META_KEY];
}

/** Lists the input schema but leaves the check to the tool call, whose error names the valid fields and the next step. */
function listInput(schema: z.ZodObject): StandardSchemaWithJSON {
  return listed(schema, (value) => ({ value }));
}

/** Lists the output schema; results are checked against the full one. */
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

type JsonSchema = Readonly<Record<string, unknown>>;

/** Keys without information for a model, which gets the list in every conversation. Gemini rejects exclusive bounds. */
const OMITTED_KEYS: ReadonlySet<string> = new Set([
  '$schema',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'propertyNames',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
]);

/**
 * Shortens a JSON schema for the list of tools: drops what costs tokens and adds little, such as length limits and defaults. Output
 * schemas keep only their first level. Arguments and results are checked against the full schema.
 */
function compactSchema(schema: JsonSchema, side: 'input' | 'output'): Record<string, unknown> {
  return side === 'input' ? compactInput(schema) : compactOutput(schema);
}

function compactInput(schema: JsonSchema): Record<string, unknown> {
  const entries = Object.entries(schema).filter(
    ([key, value]) => !OMITTED_KEYS.has(key) && !isSafeIntegerBound(key, value) && !isAnythingGoes(key, value),
  );
  return Object.fromEntries(entries.map(([key, value]) => [key, compactValue(value)]));
}

function compactValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compactValue);
  return isRecord(value) ? compactInput(value) : value;
}

// zod adds the bounds of JavaScript's safe integers to every integer.
const isSafeIntegerBound = (key: string, value: unknown): boolean =>
  (key === 'maximum' || key === 'minimum') && typeof value === 'number' && Math.abs(value) === Number.MAX_SAFE_INTEGER;

// An object allows any property by default.
const isAnythingGoes = (key: string, value: unknown): boolean =>
  key === 'additionalProperties' && isRecord(value) && Object.keys(value).length === 0;

/** Only refusals have it, next to the same in words: useless in the list. */
const UNLISTED_FACT = 'code';

function compactOutput(schema: JsonSchema): Record<string, unknown> {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {};
  const required = schema['required'];
  return {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(properties)
        .filter(([name]) => name !== UNLISTED_FACT)
        .map(([name, value]) => [name, compactFact(value)]),
    ),
    ...(Array.isArray(required) ? { required } : {}),
  };
}

function compactFact(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const { type, description } = value;
  return { type, ...(typeof description === 'string' ? { description } : {}) };
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

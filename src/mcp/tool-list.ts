import * as z from 'zod';
import { describeCardUse } from '../core/card.ts';
import { isRecord } from '../core/is-record.ts';
import { annotationsOf, outputSchema } from '../tool/tool.ts';
import type { AnyTool } from '../tool/tool.ts';

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
export interface ListedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: JsonSchema & { readonly type: 'object' };
  readonly outputSchema?: JsonSchema & { readonly type: 'object' };
  readonly annotations: ReturnType<typeof annotationsOf>;
  readonly _meta?: Record<string, unknown>;
}

type JsonSchema = Record<string, unknown>;

/** Lists the tools for one client: a model reads the list in every conversation, so it has nothing that this client can't use. */
export const listTools = (tools: readonly AnyTool[], { cards, structured, prefix = '' }: ListedFor): ListedTool[] =>
  tools
    .filter(({ card }) => cards || card !== 'buttons')
    .map((tool) => {
      const meta = cards ? describeCardUse(tool.card) : undefined;
      return {
        name: `${prefix}${tool.name}`,
        title: tool.title,
        description: tool.description,
        inputSchema: { ...compactInput(z.toJSONSchema(listedInput(tool), { io: 'input' })), type: 'object' },
        ...(structured ? { outputSchema: compactOutput(z.toJSONSchema(outputSchema(tool), { io: 'output' })) } : {}),
        annotations: annotationsOf(tool),
        ...(meta === undefined ? {} : { _meta: meta }),
      };
    });

function listedInput({ input, unlisted = [] }: AnyTool): z.ZodObject {
  return z.strictObject(Object.fromEntries(Object.entries(input.shape).filter(([name]) => !unlisted.includes(name))));
}

/**
 * Keys that say little to a model: the error of a wrong call says what is allowed. Gemini rejects exclusive bounds, and some hosts add
 * more keys to an input, and pass them on.
 */
const OMITTED_KEYS: ReadonlySet<string> = new Set([
  '$schema',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'propertyNames',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'pattern',
  'additionalProperties',
  'minimum',
  'maximum',
]);

/** Drops what costs tokens and adds little, such as length limits. Arguments are checked against the full schema. */
function compactInput(schema: JsonSchema): JsonSchema {
  const entries = Object.entries(schema).filter(([key]) => !OMITTED_KEYS.has(key));
  return Object.fromEntries(entries.map(([key, value]) => [key, compactValue(value)]));
}

function compactValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compactValue);
  return isRecord(value) ? compactInput(value) : value;
}

/** Only refusals have it, next to the same in words: useless in the list. */
const UNLISTED_FACT = 'code';

/** Keeps only the first level of an output schema. */
function compactOutput(schema: JsonSchema): JsonSchema & { type: 'object' } {
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

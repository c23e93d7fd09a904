import * as z from 'zod';
import { describeCardUse } from '../../src/core/report.ts';
import { isRecord } from '../../src/core/values.ts';
import { annotationsOf, outputSchema } from '../../src/tool/tool.ts';
import type { AnyTool } from '../../src/tool/tool.ts';
import type { JsonSchema, ToolEntry } from '../../src/mcp/tools.ts';

/** Describes a tool for the list. `npm run generate` writes the descriptions into `tool-list.json`. */
export function describeTool(tool: AnyTool): ToolEntry {
  const cardMeta = describeCardUse(tool.card);
  return {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: { ...compactInput(z.toJSONSchema(listedInput(tool), { io: 'input' })), type: 'object' },
    outputSchema: compactOutput(z.toJSONSchema(outputSchema(tool), { io: 'output' })),
    annotations: annotationsOf(tool),
    ...(cardMeta === undefined ? {} : { cardMeta }),
    isForCards: tool.card === 'buttons',
    takesFiles: ['file', 'local'].some((name) => Object.hasOwn(tool.input.shape, name)),
  };
}

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

import * as z from 'zod';
import { isRecord } from '../../src/core/values.ts';

/** Description of one field of a tool's input or facts. */
export interface DescribedField {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly meaning: string;
}

/** Describes the fields of a tool's schema in their order, as listed by `tools/list`. */
export function describeFields(schema: z.ZodObject, io: 'input' | 'output'): readonly DescribedField[] {
  const { properties, required } = z.toJSONSchema(schema, { io });
  return Object.entries(properties ?? {}).map(([name, field]) => ({
    name,
    type: describeType(field),
    required: required?.includes(name) ?? false,
    meaning: isRecord(field) && typeof field['description'] === 'string' ? field['description'] : '',
  }));
}

function describeType(schema: unknown): string {
  if (!isRecord(schema)) return 'anything';
  const { type, enum: choices, items, properties, additionalProperties, anyOf } = schema;
  if (Array.isArray(choices)) return choices.map((choice) => JSON.stringify(choice)).join(', ');
  if (Array.isArray(anyOf)) return anyOf.map(describeType).join(' or ');
  if (type === 'array') return `list of ${describeType(items)}`;
  if (type === 'object' && isRecord(properties) && Object.keys(properties).length > 0)
    return `{ ${Object.keys(properties).join(', ')} }`;
  if (type === 'object' && isRecord(additionalProperties) && Object.keys(additionalProperties).length > 0)
    return `object of ${describeType(additionalProperties)}`;
  if (type === 'integer') return `integer${describeRange(schema)}`;
  return typeof type === 'string' ? type : 'anything';
}

/** zod writes the bounds of JavaScript's integers if a schema has none. */
function describeRange({ minimum, maximum }: Readonly<Record<string, unknown>>): string {
  const from = typeof minimum === 'number' && minimum !== Number.MIN_SAFE_INTEGER ? minimum : undefined;
  const to = typeof maximum === 'number' && maximum !== Number.MAX_SAFE_INTEGER ? maximum : undefined;
  if (from !== undefined && to !== undefined) return `, ${from} to ${to}`;
  if (from !== undefined) return `, ${from} or more`;
  return to === undefined ? '' : `, up to ${to}`;
}

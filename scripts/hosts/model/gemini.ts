import * as z from 'zod';
import type { ModelApi } from './model-api.ts';
import { textOf } from './model-api.ts';

const declaration = z.looseObject({
  name: z.string(),
  description: z.string().default(''),
  parametersJsonSchema: z.unknown().optional(),
  parameters: z.unknown().optional(),
});

const functionResponse = z.looseObject({
  functionResponse: z.looseObject({ id: z.string().optional(), response: z.unknown().optional() }),
});

const body = z.looseObject({
  tools: z.array(z.looseObject({ functionDeclarations: z.array(declaration).default([]) })).default([]),
  contents: z.array(z.looseObject({ parts: z.array(z.unknown()).default([]) })).default([]),
});

/** Gemini's generateContent. */
export const gemini: ModelApi = {
  path: /:(stream)?generateContent/i,
  read(raw) {
    const { tools, contents } = body.parse(raw);
    return {
      tools: tools
        .flatMap(({ functionDeclarations }) => functionDeclarations)
        .map(({ name, description, parametersJsonSchema, parameters }) => ({
          name,
          description,
          schema: parametersJsonSchema ?? parameters,
        })),
      results: contents
        .flatMap(({ parts }) => parts)
        .flatMap((part) => {
          const { data } = functionResponse.safeParse(part);
          if (data === undefined) return [];
          const { id, response } = data.functionResponse;
          return [{ id, text: textOf(outputOf(response)) }];
        }),
    };
  },
  answer(move, { isStream }) {
    const part =
      move.kind === 'say'
        ? { text: move.text }
        : { functionCall: { id: move.id, name: move.tool.name, args: move.args } };
    const answer = {
      candidates: [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: { promptTokenCount: 100, candidatesTokenCount: 20, totalTokenCount: 120 },
    };
    return isStream ? { kind: 'events', events: [{ data: answer }] } : { kind: 'json', body: answer };
  },
};

const outputOf = (response: unknown): unknown =>
  typeof response === 'object' && response !== null && 'output' in response ? response.output : response;

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModel } from 'ai';
import * as z from 'zod';

const settings = z.object({
  EVAL_API: z.enum(['openai', 'anthropic']).default('openai'),
  EVAL_BASE_URL: z.url(),
  EVAL_MODEL: z.string().min(1),
  EVAL_API_KEY: z.string().default(''),
});

/** Returns the model that the variables EVAL_* name. Throws with the list of what is missing or wrong. */
export function readModel(env: Readonly<Record<string, string | undefined>>): LanguageModel {
  const read = settings.safeParse(env);
  if (!read.success)
    throw new Error(`The model isn't configured; see evals/README.md.\n${z.prettifyError(read.error)}`);
  const { EVAL_API, EVAL_BASE_URL: baseURL, EVAL_MODEL, EVAL_API_KEY: apiKey } = read.data;
  if (EVAL_API === 'anthropic') return createAnthropic({ baseURL, apiKey })(EVAL_MODEL);
  return createOpenAICompatible({ name: 'eval', baseURL, apiKey })(EVAL_MODEL);
}

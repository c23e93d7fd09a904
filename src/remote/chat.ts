import * as z from 'zod';
import { parseJson } from './http-exchange.ts';

/** One message of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A question for a model. */
export interface ChatQuestion {
  readonly messages: readonly ChatMessage[];
  readonly maxTokens: number | undefined;
}

/** An answer of a model, by the API of OpenAI. */
export interface ChatAnswer {
  readonly text: string;
  /** Why the model stopped; undefined for a reason that isn't one of the API. */
  readonly finish: (typeof FINISHES)[number] | undefined;
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
}

const FINISHES = ['stop', 'length', 'tool_calls', 'content_filter'] as const;

const tokens = z.number().int().nonnegative().max(1e9).optional().catch(undefined);
const usage = z.looseObject({ prompt_tokens: tokens, completion_tokens: tokens }).nullish().catch(undefined);
const finish = z.enum(FINISHES).nullish().catch(undefined);
const text = z.string().nullish().catch(undefined);

const wholeAnswer = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: text }), finish_reason: finish })).min(1),
  usage,
});

const chunk = z.looseObject({
  choices: z
    .array(
      z.looseObject({ delta: z.looseObject({ content: text }).optional().catch(undefined), finish_reason: finish }),
    )
    .catch([]),
  usage,
});

/** Returns the body of a request to `/chat/completions`. Not streamed: only a whole answer reports its tokens everywhere. */
export const chatBody = (model: string, { messages, maxTokens }: ChatQuestion): string =>
  JSON.stringify({ model, messages, ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }) });

/** Reads the answer of a model, whole or streamed; undefined if it is something else. */
export function readChat(contentType: string, body: string): ChatAnswer | undefined {
  return /^text\/event-stream\b/i.test(contentType) ? readStream(body) : readWhole(body);
}

function readWhole(body: string): ChatAnswer | undefined {
  const { data } = wholeAnswer.safeParse(parseJson(body));
  const [choice] = data?.choices ?? [];
  if (data === undefined || choice === undefined) return undefined;
  return answerOf(choice.message.content ?? '', choice.finish_reason, data.usage);
}

/** Collects the text of server-sent events. The last one may be cut. */
function readStream(body: string): ChatAnswer | undefined {
  const chunks = body
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith('data:'))
    .flatMap((line) => chunk.safeParse(parseJson(line.slice('data:'.length))).data ?? []);
  const choices = chunks.flatMap((one) => one.choices.slice(0, 1));
  if (choices.length === 0) return undefined;
  const reason = choices.findLast((one) => typeof one.finish_reason === 'string')?.finish_reason;
  const counted = chunks.findLast((one) => one.usage !== undefined && one.usage !== null)?.usage;
  return answerOf(choices.map(({ delta }) => delta?.content ?? '').join(''), reason, counted);
}

const answerOf = (content: string, reason: z.output<typeof finish>, counted: z.output<typeof usage>): ChatAnswer => ({
  text: content,
  finish: reason ?? undefined,
  promptTokens: counted?.prompt_tokens,
  completionTokens: counted?.completion_tokens,
});

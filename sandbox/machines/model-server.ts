import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { AppReply, AppRequest, ModelBehavior } from './scenarios.ts';

const chatSchema = z.object({
  model: z.string(),
  messages: z.array(z.object({ role: z.string(), content: z.string() })).min(1),
  max_tokens: z.int().positive().optional(),
  max_completion_tokens: z.int().positive().optional(),
  stream: z.boolean().default(false),
  stream_options: z.object({ include_usage: z.boolean().default(false) }).nullish(),
});

type ChatRequest = z.output<typeof chatSchema>;

/** An answer and its pace, which is that of a small model on one GPU by default. A word counts as a token. */
interface Answer {
  readonly chat: ChatRequest;
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly tokens: readonly string[];
  readonly finishReason: 'stop' | 'length';
}

/** Answers a request of the OpenAI API for one model. Returns undefined for another path. */
export async function askModel(
  { method, path, body }: Omit<AppRequest, 'headers'>,
  { model, behavior }: { readonly model: string; readonly behavior: ModelBehavior },
): Promise<AppReply | undefined> {
  if (path === '/v1/models') {
    return json(200, { object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: 'sandbox' }] });
  }
  if (path !== '/v1/chat/completions') return undefined;
  if (method !== 'POST') return refuse(405, 'Method Not Allowed');
  if (behavior.failsWith !== undefined) return refuse(behavior.failsWith, 'The model failed (simulated).');
  const chat = parseChat(body);
  if (!chat) return refuse(400, 'A model and at least one message with a role and a text are required.');
  if (chat.model !== model) return refuse(404, `The model \`${chat.model}\` does not exist.`);
  const answer = writeAnswer(chat, behavior);
  if (!chat.stream) return await complete(answer);
  const events = behavior.isEndless === true ? streamForever(answer) : stream(answer);
  return { headers: { 'content-type': 'text/event-stream' }, body: events };
}

function parseChat(body: string): ChatRequest | undefined {
  try {
    return chatSchema.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

function writeAnswer(chat: ChatRequest, behavior: ModelBehavior): Answer {
  const said = `(simulated ${chat.model}) You said: ${chat.messages.at(-1)?.content ?? ''}`;
  const words = said.match(/\s*\S+/g) ?? [];
  const limit = chat.max_completion_tokens ?? chat.max_tokens ?? Infinity;
  return {
    chat,
    firstTokenMs: behavior.firstTokenMs ?? 40,
    tokenMs: behavior.tokenMs ?? 8,
    tokens: words.slice(0, limit),
    finishReason: words.length > limit ? 'length' : 'stop',
  };
}

async function complete(answer: Answer): Promise<AppReply> {
  const { firstTokenMs, tokenMs, tokens, finishReason } = answer;
  await delay(firstTokenMs + tokenMs * tokens.length);
  const message = { role: 'assistant', content: tokens.join('') };
  const choices = [{ index: 0, message, finish_reason: finishReason }];
  return json(200, { ...describe(answer, 'chat.completion'), choices, usage: countTokens(answer) });
}

async function* stream(answer: Answer): AsyncGenerator<string> {
  const { firstTokenMs, tokenMs, tokens, finishReason, chat } = answer;
  await delay(firstTokenMs);
  yield writeChunk(answer, { role: 'assistant', content: '' });
  for (const content of tokens) {
    await delay(tokenMs);
    yield writeChunk(answer, { content });
  }
  yield writeChunk(answer, {}, finishReason);
  if (chat.stream_options?.include_usage === true) {
    yield writeEvent({ ...describe(answer, 'chat.completion.chunk'), choices: [], usage: countTokens(answer) });
  }
  yield 'data: [DONE]\n\n';
}

async function* streamForever(answer: Answer): AsyncGenerator<string> {
  await delay(answer.firstTokenMs);
  for (;;) {
    yield writeChunk(answer, { content: ' again' });
    await delay(answer.tokenMs);
  }
}

function writeChunk(answer: Answer, delta: Record<string, string>, finishReason: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  return writeEvent({ ...describe(answer, 'chat.completion.chunk'), choices });
}

const writeEvent = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

function describe({ chat }: Answer, object: string): Record<string, unknown> {
  return { id: 'chatcmpl-simulated', object, created: 0, model: chat.model };
}

function countTokens({ chat, tokens }: Answer): Record<string, number> {
  const prompt = chat.messages.reduce((sum, { content }) => sum + (content.match(/\S+/g)?.length ?? 0), 0);
  return { prompt_tokens: prompt, completion_tokens: tokens.length, total_tokens: prompt + tokens.length };
}

function refuse(status: number, message: string): AppReply {
  return json(status, {
    error: { message, type: status < 500 ? 'invalid_request_error' : 'internal_error', code: status },
  });
}

function json(status: number, value: unknown): AppReply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

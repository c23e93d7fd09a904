import * as z from 'zod';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { parseJson } from './http-exchange.ts';
import type { HttpAnswer, HttpFailure } from './http-exchange.ts';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

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
const usage = z.object({ prompt_tokens: tokens, completion_tokens: tokens }).nullish().catch(undefined);
const finish = z.enum(FINISHES).nullish().catch(undefined);
const text = z.string().nullish().catch(undefined);

/** The first choice, which alone is read: a hostile answer can have any number. */
const first = <T extends z.ZodType>(choice: T) =>
  z.preprocess((all) => (Array.isArray(all) ? all.slice(0, 1) : all), z.array(choice));

const wholeAnswer = z.object({
  choices: first(z.object({ message: z.object({ content: text }), finish_reason: finish })).refine(
    ({ length }) => length > 0,
  ),
  usage,
});

const chunk = z.object({
  choices: first(
    z.object({ delta: z.object({ content: text }).optional().catch(undefined), finish_reason: finish }),
  ).catch([]),
  usage,
});

/** Returns the body of a request to `/chat/completions`. Not streamed: only a whole answer reports its tokens everywhere. */
export const chatBody = (model: string, { messages, maxTokens }: ChatQuestion): string =>
  JSON.stringify({ model, messages, ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }) });

/** Reads the answer of a model, whole or streamed; undefined if it is something else. */
export const readChat = (contentType: string, body: string): ChatAnswer | undefined =>
  isStream(contentType) ? readStream(body) : readWhole(body);

/** Reads the number of tokens that a model wrote; undefined if the answer doesn't report it. */
export const readTokens = (contentType: string, body: string): number | undefined =>
  isStream(contentType)
    ? usageOf(parseEvents(eventsOf(body).slice(-LAST_EVENTS)))?.completion_tokens
    : readWhole(body)?.completionTokens;

const isStream = (contentType: string): boolean => /^text\/event-stream\b/i.test(contentType);

function readWhole(body: string): ChatAnswer | undefined {
  const { data } = wholeAnswer.safeParse(parseJson(body));
  const [choice] = data?.choices ?? [];
  if (data === undefined || choice === undefined) return undefined;
  return answerOf(choice.message.content ?? '', choice.finish_reason, data.usage);
}

/** More events of one answer aren't parsed: that would keep this server from answering anybody else. */
const MAX_EVENTS = 2_000;
/** Events at the end that may have the usage: it precedes the mark of the end. */
const LAST_EVENTS = 8;

/** Collects the text of server-sent events. The last one may be cut. */
function readStream(body: string): ChatAnswer | undefined {
  const events = eventsOf(body);
  const chunks = parseEvents([...events.slice(0, MAX_EVENTS), ...events.slice(MAX_EVENTS).slice(-LAST_EVENTS)]);
  const choices = chunks.flatMap((one) => one.choices);
  if (choices.length === 0) return undefined;
  const reason = choices.findLast((one) => typeof one.finish_reason === 'string')?.finish_reason;
  return answerOf(choices.map(({ delta }) => delta?.content ?? '').join(''), reason, usageOf(chunks));
}

const eventsOf = (body: string): readonly string[] =>
  body.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));

const parseEvents = (events: readonly string[]): readonly z.output<typeof chunk>[] =>
  events.flatMap((event) => chunk.safeParse(parseJson(event.slice('data:'.length))).data ?? []);

const usageOf = (chunks: readonly z.output<typeof chunk>[]): z.output<typeof usage> =>
  chunks.findLast((one) => one.usage !== undefined && one.usage !== null)?.usage;

const answerOf = (content: string, reason: z.output<typeof finish>, counted: z.output<typeof usage>): ChatAnswer => ({
  text: content,
  finish: reason ?? undefined,
  promptTokens: counted?.prompt_tokens,
  completionTokens: counted?.completion_tokens,
});

const models = z.looseObject({ data: z.array(z.looseObject({ id: z.string(), created: z.number() })) });

/** A dstack server, and how to ask it. */
export interface ModelServer {
  readonly server: string;
  readonly project: string;
  readonly send: (url: URL) => Promise<HttpAnswer | HttpFailure>;
}

/**
 * Returns dstack's own endpoint for the model of a service, which doesn't pass the user's token on to the program. Undefined if the server
 * has none, or if it would ask another run: of several with one model it takes the newest.
 */
export async function findModelRoute(
  { model, submittedAt }: Pick<RunFacts, 'model' | 'submittedAt'>,
  { server, project, send }: ModelServer,
): Promise<URL | undefined> {
  if (model === undefined || submittedAt === undefined) return undefined;
  const place = `${server.replace(/\/+$/, '')}/proxy/models/${encodeURIComponent(project)}`;
  const listed = await send(new URL(`${place}/models`));
  if (listed.kind === 'failure' || listed.status !== 200 || listed.end !== 'whole') return undefined;
  const { data } = models.safeParse(parseJson(listed.body.toString('utf8')));
  const [newest, second] = (data?.data ?? [])
    .filter(({ id }) => id === model)
    .map((one) => one.created)
    .toSorted((a, b) => b - a);
  // Of two from the same second, nobody here knows which one is newer.
  const isThisRun = newest === Math.floor(Date.parse(submittedAt) / 1_000) && newest !== second;
  return isThisRun ? new URL(`${place}/chat/completions`) : undefined;
}

import * as z from 'zod';
import type { RunFacts } from '../dstack/output/read-run.ts';
import { parseJson } from './http-exchange.ts';
import type { HttpAnswer, HttpFailure } from './http-exchange.ts';

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

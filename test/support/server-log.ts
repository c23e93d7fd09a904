import * as z from 'zod';
import type { TestClient } from './connect.ts';
import { until } from './wait.ts';

const line = z.looseObject({
  msg: z.string(),
  call: z.string().optional(),
  tool: z.string().optional(),
  durationMs: z.number().optional(),
  stepsMs: z.record(z.string(), z.number()).optional(),
});
type Line = z.output<typeof line>;

const linesOf = (text: string): readonly Line[] =>
  text
    .split('\n')
    .filter((one) => one.startsWith('{') && one.endsWith('}'))
    .map((one) => line.parse(JSON.parse(one)));

/** Returns all lines of a server's log once this many calls are logged, since standard error arrives separately. */
export async function linesOfCalls(client: TestClient, count: number): Promise<readonly Line[]> {
  return until(
    () => Promise.resolve(linesOf(client.stderr())),
    (lines) => lines.filter(({ msg }) => msg === 'call').length >= count,
  );
}

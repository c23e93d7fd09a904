import { expect, test } from 'vitest';
import * as z from 'zod';
import { connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createTestHome } from '../support/test-home.ts';
import { until } from '../support/wait.ts';

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

/** Returns all lines once this many calls are logged, since standard error arrives separately. */
async function linesOfCalls(client: TestClient, count: number): Promise<readonly Line[]> {
  return until(
    () => Promise.resolve(linesOf(client.stderr())),
    (lines) => lines.filter(({ msg }) => msg === 'call').length >= count,
  );
}

test('concurrent calls keep their ids, even while some are queued', async () => {
  const home = await createTestHome();
  const client = await connect({ env: { ...home.env, DSTACK_MCP_LOG_LEVEL: 'debug', DSTACK_MCP_WARM: 'off' } });
  const calls = { event: 'event', fleet: 'fleet', gateway: 'list', offer: 'offer', ps: 'ps', volume: 'list' } as const;
  await Promise.all(
    Object.entries(calls).map(([command, tool]) => client.call(tool, tool === 'list' ? { kind: `${command}s` } : {})),
  );
  const lines = await linesOfCalls(client, Object.keys(calls).length);
  const ran = lines.filter(({ msg }) => msg === 'command');
  const byCommand = ran.map(({ command, call }) => {
    const { tool } = lines.find((one) => one.msg === 'call' && one.call === call) ?? {};
    return [String(command), tool] as const;
  });
  expect(Object.fromEntries(byCommand)).toEqual(calls);
  expect(new Set(ran.map(({ call }) => call)).size).toBe(Object.keys(calls).length);
  expect(lines.some(({ stepsMs }) => (stepsMs?.['waited'] ?? 0) > 0)).toBe(true);
});

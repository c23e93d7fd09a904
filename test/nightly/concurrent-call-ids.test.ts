import { expect, test } from 'vitest';
import { connect } from '../support/connect.ts';
import { createTestHome } from '../support/test-home.ts';
import { linesOfCalls } from '../support/server-log.ts';

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

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { linesOfCalls } from '../support/server-log.ts';

test('the log has every line of a call under its id, and a last line with its durations; so has the audit log', async () => {
  const home = await createTestHome();
  const client = await connect({ env: { ...home.env, DSTACK_MCP_LOG_LEVEL: 'debug' } });
  await client.call('ps');
  await client.call('offer');
  await client.call('apply', { token: 'no-such-token' });
  const name = uniqueName('audited');
  await client.call('write_config', { file: `${name}.dstack.yml`, text: JSON.stringify(task(name)) });
  const lines = await linesOfCalls(client, 4);
  const calls = lines.filter(({ msg }) => msg === 'call');
  expect(calls).toMatchObject([
    { call: '1', tool: 'ps', outcome: 'done' },
    { call: '2', tool: 'offer', outcome: 'done' },
    { call: '3', tool: 'apply', outcome: 'refused', code: 'token-unknown', commands: { warm: 0, plain: 0 } },
    { call: '4', tool: 'write_config', outcome: 'done' },
  ]);
  const audited = (await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8')).trim().split('\n');
  expect(audited.map((one) => z.looseObject({ call: z.string() }).parse(JSON.parse(one)).call)).toEqual(['4', '4']);
  const commands = lines.filter(({ msg }) => msg === 'command');
  expect(commands).toMatchObject([
    { call: '1', command: 'ps', exit: 'exited', exitCode: 0 },
    { call: '2', command: 'offer', exit: 'exited', exitCode: 0 },
    // For the offers that no fleet of the project allows.
    { call: '2', command: 'fleet', exit: 'exited', exitCode: 0 },
    { call: '2', command: 'offer', exit: 'exited', exitCode: 0 },
  ]);
  for (const { durationMs = 0, stepsMs = {} } of calls) {
    const sum = Object.values(stepsMs).reduce((total, ms) => total + ms, 0);
    // Each is rounded separately.
    expect(Math.abs(sum - durationMs)).toBeLessThanOrEqual(Object.keys(stepsMs).length);
  }
});

test('doctor counts the calls of this server, and not those of others', async () => {
  const home = await createTestHome();
  const client = await connect({ env: home.env });
  const first = await client.call('doctor');
  expect(first.facts['counters']).toMatchObject({ calls: {}, refusals: {} });
  await client.call('ps');
  await client.call('apply', { token: 'no-such-token' });
  const { text, facts } = await client.call('doctor');
  const counted = z
    .object({ commands: z.record(z.string(), z.number()), workerStarts: z.number() })
    .loose()
    .parse(facts['counters']);
  expect(counted).toMatchObject({
    calls: { doctor: { done: 1 }, ps: { done: 1 }, apply: { refused: 1 } },
    refusals: { 'token-unknown': 1 },
  });
  // One for ps, and two for the first doctor.
  expect((counted.commands['warm'] ?? 0) + (counted.commands['plain'] ?? 0)).toBe(3);
  expect(text).toContain('calls: 3 since');
  expect(text).toContain('refused: token-unknown 1');
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../support/connect.ts';
import type { TestClient } from '../../support/connect.ts';
import { createRecorder } from '../../support/call-recorder.ts';
import type { Recorder } from '../../support/call-recorder.ts';
import { createTestHome, task } from '../../support/test-home.ts';
import { ATTEMPTS, HARMLESS } from './attempts.ts';
import { writeHostileFiles } from './hostile-files.ts';

const ends: (() => Promise<void>)[] = [];
const atEnd = (end: () => Promise<void>): void => {
  ends.unshift(end);
};
let client: TestClient;
let recorder: Recorder;

beforeAll(async () => {
  const home = await createTestHome({ atEnd });
  recorder = await createRecorder(home);
  await home.write(HARMLESS, task('harmless'));
  await writeHostileFiles(home.workspace);
  client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: recorder.cli }, atEnd });
});

afterAll(async () => {
  for (const end of ends) await end();
});

test('there are at least 200 attempts, each with a unique title', () => {
  expect(ATTEMPTS.length).toBeGreaterThanOrEqual(200);
  expect(new Set(ATTEMPTS.map(({ title }) => title)).size).toBe(ATTEMPTS.length);
});

describe('refused before dstack runs:', () => {
  test.each(ATTEMPTS)('$title ($tool)', async ({ tool, input, codes }) => {
    const before = await recorder.calls();
    const answer = await client.call(tool, input);
    expect(codes, answer.text).toContain(answer.facts['code']);
    expect(answer.facts['outcome']).toBe('refused');
    expect(answer.facts['next']).not.toBe('');
    expect(await recorder.calls()).toEqual(before);
  });
});

test('the harmless file itself can be planned, so the refusals have other reasons', async () => {
  const answer = await client.call('plan', { file: HARMLESS });
  expect(answer.facts).toMatchObject({ outcome: 'done', operation: 'create' });
  expect((await recorder.calls()).at(-1)).toEqual(['apply', '--file', HARMLESS]);
});

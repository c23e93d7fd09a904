import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runNames, stopRuns } from '../support/ask-server.ts';
import { connect } from '../support/connect.ts';
import type { Answer } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { waitForRun } from '../support/wait.ts';

test('a client that starts a server for each call plans, applies and stops, and no token works twice', async () => {
  const home = await createTestHome();
  const name = uniqueName('each');
  onTestFinished(() => stopRuns(name));
  const call = async (tool: string, input: Readonly<Record<string, unknown>>): Promise<Answer> => {
    const client = await connect({ env: home.env });
    const answer = await client.call(tool, input);
    await client.close();
    return answer;
  };
  const plan = await call('plan', { file: await home.write('each.dstack.yml', task(name)) });
  expect(await call('apply', { token: plan.facts['token'] })).toMatchObject({ facts: { outcome: 'done' } });
  const again = await call('apply', { token: plan.facts['token'] });
  expect(again.facts).toMatchObject({ outcome: 'refused', code: 'token-used' });
  expect((await runNames()).filter((one) => one === name)).toHaveLength(1);

  const preview = await call('stop', { run: name });
  expect(await call('apply', { token: preview.facts['token'] })).toMatchObject({ facts: { outcome: 'done' } });
  const last = await connect({ env: home.env });
  await waitForRun(last, name, 'finished');

  const audit = await readFile(path.join(home.stateDir, 'audit', 'audit.jsonl'), 'utf8');
  const events = [...audit.matchAll(/"event":"(\w+)"/g)].map(([, event]) => event);
  expect(events).toEqual(['asked', 'approved', 'done', 'asked', 'approved', 'done']);
  expect((await readdir(path.join(home.stateDir, 'tokens'))).toSorted()).toEqual([
    expect.stringMatching(/\.ended$/),
    expect.stringMatching(/\.ended$/),
    'key',
  ]);
});

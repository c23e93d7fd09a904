import { expect, test } from 'vitest';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { waitForRun } from '../support/wait.ts';
test('an exit status comes with its usual meaning', async () => {
  const home = await createTestHome();
  const client = await connect({ env: home.env });
  const name = uniqueName('not-found');
  const file = await home.write(
    'missing.dstack.yml',
    task(name, { commands: ['echo "python: not found"', 'exit 127'] }),
  );
  const plan = await client.call('plan', { file });
  await client.call('apply', { token: plan.facts['token'] });
  const { facts } = await waitForRun(client, name, 'finished');
  expect(facts).toMatchObject({ status: 'failed', run: { exitStatus: 127 } });
  expect(facts['summary']).toContain("A command wasn't found.");
});

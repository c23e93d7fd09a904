import { expect, test } from 'vitest';
import { OLDER_DSTACK_VERSION as OLDER } from '../../sandbox/python-environment.ts';
import { agreeing, connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { previewAndStop, waitForLog, waitForRun } from '../support/wait.ts';
import { inRepository } from '../support/paths.ts';

const cli = inRepository('.cache', 'matrix', OLDER, 'bin', 'dstack');

test(`a run can be planned, applied and stopped with the CLI ${OLDER} and the sandbox's server`, async () => {
  const home = await createTestHome();
  const name = uniqueName('older');
  await home.write('older.dstack.yml', task(name));
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: cli }, person: agreeing });
  const doctor = await client.call('doctor');
  expect(doctor.text).toContain(`${OLDER} at ${cli}`);

  const plan = await client.call('plan', { file: 'older.dstack.yml' });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create', token: expect.any(String) });
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts, applied.text).toMatchObject({ outcome: 'done', operation: 'create' });

  await waitForRun(client, name, 'running');
  const listed = await client.call('ps');
  expect(listed.facts['runs']).toContainEqual(expect.objectContaining({ name, status: 'running' }));
  await waitForLog(client, name, 'the first line');

  const stopped = await previewAndStop(client, name);
  expect(stopped.facts, stopped.text).toMatchObject({ outcome: 'done', operation: 'stop' });
  expect((await waitForRun(client, name, 'finished')).facts).toMatchObject({ status: 'terminated' });
});

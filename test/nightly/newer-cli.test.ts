import { afterAll, expect, test } from 'vitest';
import { OLDER_DSTACK_VERSION } from '../../sandbox/python-environment.ts';
import { startTestSandbox } from '../support/start-test-sandbox.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import { inRepository } from '../support/paths.ts';

const atEnd = collectEnds(afterAll);
// The CLI of `npm run lab -- matrix`, or the one that the setup has installed.
const older = inRepository('.cache', 'matrix', OLDER_DSTACK_VERSION);
const pythonEnvironment = process.env['DSTACK_TEST_PYTHON_ENV'] ?? older;

test('dstack refuses a CLI that is newer than its server: each tool reports it, and doctor shows both versions', async () => {
  const sandbox = await startTestSandbox({ pythonEnvironment });
  atEnd(() => sandbox.stop());
  const home = await createTestHome({ url: sandbox.url, token: sandbox.token });
  const name = uniqueName('newer');
  const file = await home.write('newer.dstack.yml', task(name));
  const client = await connect({ env: home.env });
  const refusal = /The client\/CLI version \(\S+\) is incompatible with the server version \(\S+\)\./;
  expect((await client.call('doctor')).text).toMatch(new RegExp(`ERROR +server: .*${refusal.source}`));
  for (const [tool, input] of [
    ['ps', {}],
    ['get', { name }],
    ['logs', { run: name }],
    ['metrics', { run: name }],
    ['offer', {}],
    ['fleet', {}],
    ['event', {}],
    ['attach', { run: name }],
    ['plan', { file }],
    ['stop', { run: name }],
    ['delete', { type: 'fleet', name: 'cloud' }],
  ] as const) {
    const { facts } = await client.call(tool, input);
    expect(facts, tool).toMatchObject({
      outcome: 'blocked',
      code: 'version-mismatch',
      summary: expect.stringMatching(refusal),
      next: expect.stringContaining("Install the CLI in the server's version"),
    });
    expect(facts, tool).not.toHaveProperty('token');
  }
});

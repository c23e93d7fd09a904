import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { countRuns, runNames } from '../../support/ask-server.ts';
import { connect } from '../../support/connect.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';

const MODES = ['on', 'spare', 'off'] as const;
const SUBMIT = /\/(?:runs|fleets)\/apply$/;

/** A client whose dstack reaches the sandbox through a proxy that can lose responses; warm, or as plain processes. */
async function connectInMode(warm: (typeof MODES)[number]) {
  const server = await startFaultyServer(inject('sandbox').url);
  const home = await createTestHome({ url: server.url });
  const client = await connect({ env: { ...home.env, DSTACK_MCP_WARM: warm } });
  const submissions = (): number => server.seen.filter(({ path: where }) => SUBMIT.test(where)).length;
  return { server, home, client, submissions };
}

test.each(MODES)(
  'a run without a name is submitted once, although the response was lost, with the worker %s',
  async (warm) => {
    const { server, home, client, submissions } = await connectInMode(warm);
    const command = `echo ${uniqueName('unnamed')}`;
    const { name: _unnamed, ...configuration } = task('unnamed', { commands: [command] });
    const file = await home.write('unnamed.dstack.yml', configuration);
    const { facts } = await client.call('plan', { file });
    server.breakWith({ kind: 'lose-answer' }, SUBMIT);
    const applied = await client.call('apply', { token: facts['token'] });
    expect(submissions()).toBe(1);
    expect(await countRuns(command)).toBe(1);
    // It was named before it was applied, so it can be looked up.
    expect(applied.facts).toMatchObject({ outcome: 'done', resource: facts['resource'] });
    expect(applied.text).toMatch(/was sent once, and the response of dstack's server was lost/);
  },
);

test.each(MODES)('a fleet is submitted once, although the response was lost, with the worker %s', async (warm) => {
  const { server, home, client, submissions } = await connectInMode(warm);
  const name = uniqueName('once');
  const file = await home.write('f.dstack.yml', { type: 'fleet', name, nodes: '0..1', backends: ['cloudrift'] });
  const { facts } = await client.call('plan', { file });
  server.breakWith({ kind: 'lose-answer' }, SUBMIT);
  const applied = await client.call('apply', { token: facts['token'] });
  server.breakWith(undefined);
  expect(submissions()).toBe(1);
  // Before the request was judged, dstack's refusal of the repeated request was reported as a failure.
  expect(applied.facts['outcome']).toBe('done');
  const preview = await client.call('delete', { type: 'fleet', name });
  expect((await client.call('apply', { token: preview.facts['token'] })).facts['outcome']).toBe('done');
});

test('a change asks no other host than the server of the project, and neither does any read', async () => {
  const { server, home, client } = await connectInMode('on');
  // Without this file, dstack's CLI asks the internet for a newer version.
  await writeFile(path.join(home.home, '.cache', '.dstack', 'cli', 'last_check'), '', { flag: 'w' });
  const elsewhere = await startFaultyServer(inject('sandbox').url);
  server.breakWith({ kind: 'redirect', to: `${elsewhere.url}/api/runs/list` }, /\/runs\/list$/);
  const answer = await client.call('ps');
  expect(answer.facts['outcome']).toBe('failed');
  expect(elsewhere.seen).toEqual([]);
});

test('a file that dstack reads differently than this server is neither planned nor deleted', async () => {
  const { home, client } = await connectInMode('on');
  const name = uniqueName('prod');
  const file = await home.write(`${name}.dstack.yml`, task(name, { commands: ['echo done'] }));
  const { facts } = await client.call('plan', { file });
  await client.call('apply', { token: facts['token'] });
  await client.call('get', { type: 'run', name, wait_for: 'finished' });
  // dstack's parser ends the comment at the line separator, and so reads the name of the other run.
  const hostile = await home.write(
    'junk.dstack.yml',
    `type: task\nname: junk-1 # a\u2028name: ${name}\ncommands: [ls]\n`,
  );
  for (const tool of ['delete', 'plan']) {
    const answer = await client.call(tool, { file: hostile });
    expect(answer.facts).toMatchObject({ outcome: 'refused', code: 'invalid-file' });
    expect(answer.text).toMatch(/can be read in two ways/);
  }
  expect(await runNames()).toContain(name);
});

import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { countRuns, runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';

const SUBMIT = /\/(?:runs|fleets)\/apply$/;
const atEnd = collectEnds(afterAll);

/** Connects a client whose dstack reaches the sandbox through a proxy that can lose responses; warm, or as plain processes. */
async function connectInMode(warm: 'on' | 'spare' | 'off') {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const client = await connect({ env: { ...home.env, DSTACK_MCP_WARM: warm }, atEnd });
  return { server, home, client };
}

type Connection = Awaited<ReturnType<typeof connectInMode>>;
let warm: Connection;
beforeAll(async () => {
  warm = await connectInMode('on');
});

/** Plans and applies a file whose response gets lost, and returns both answers and the number of submissions. */
async function applyOnce({ server, home, client }: Connection, configuration: Readonly<Record<string, unknown>>) {
  const { facts } = await client.call('plan', { file: await home.write('once.dstack.yml', configuration) });
  const before = server.seen.length;
  server.breakWith({ kind: 'lose-answer' }, SUBMIT);
  const applied = await client.call('apply', { token: facts['token'] });
  server.breakWith(undefined);
  return { planned: facts, applied, submissions: server.seen.slice(before).filter(({ path }) => SUBMIT.test(path)) };
}

test.each(['on', 'spare', 'off'] as const)(
  'with the worker %s, a run without a name is submitted once, although the response was lost',
  async (mode) => {
    const command = `echo ${uniqueName('unnamed')}`;
    const { name: _unnamed, ...configuration } = task('unnamed', { commands: [command] });
    const connection = mode === 'on' ? warm : await connectInMode(mode);
    const { planned, applied, submissions } = await applyOnce(connection, configuration);
    expect(submissions).toHaveLength(1);
    expect(await countRuns(command)).toBe(1);
    // It was named before it was applied, so it can be looked up.
    expect(applied.facts).toMatchObject({ outcome: 'done', resource: planned['resource'] });
    expect(applied.text).toMatch(/was sent once, and the response of dstack's server was lost/);
  },
);

test('a fleet is submitted once, although the response was lost', async () => {
  const { client } = warm;
  const name = uniqueName('once');
  const fleet = { type: 'fleet', name, nodes: '0..1', backends: ['cloudrift'] };
  const { applied, submissions } = await applyOnce(warm, fleet);
  expect(submissions).toHaveLength(1);
  // Before the request was judged, dstack's refusal of the repeated request was reported as a failure.
  expect(applied.facts['outcome']).toBe('done');
  const preview = await client.call('delete', { type: 'fleet', name });
  expect((await client.call('apply', { token: preview.facts['token'] })).facts['outcome']).toBe('done');
});

test('a file that dstack reads differently than this server is neither planned nor deleted', async () => {
  const { home, client } = warm;
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

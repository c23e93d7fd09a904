import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { countRuns, runNames } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import type { AtEnd } from '../../support/connect.ts';
import { startFaultyServer } from '../../support/faulty-server.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';

const MODES = ['on', 'spare', 'off'] as const;
const SUBMIT = /\/(?:runs|fleets)\/apply$/;

/** A client whose dstack reaches the sandbox through a proxy that can lose responses; warm, or as plain processes. */
async function connectInMode(warm: (typeof MODES)[number], atEnd: AtEnd) {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const client = await connect({ env: { ...home.env, DSTACK_MCP_WARM: warm }, atEnd });
  return { server, home, client };
}

const atEnd = collectEnds(afterAll);

describe.each(MODES)('with the worker %s', (warm) => {
  let connection: Awaited<ReturnType<typeof connectInMode>>;
  beforeAll(async () => {
    connection = await connectInMode(warm, atEnd);
  });

  /** Plans and applies a file whose response gets lost, and returns both answers and the number of submissions. */
  async function applyOnce(file: string) {
    const { server, client } = connection;
    const { facts } = await client.call('plan', { file });
    const before = server.seen.length;
    server.breakWith({ kind: 'lose-answer' }, SUBMIT);
    const applied = await client.call('apply', { token: facts['token'] });
    server.breakWith(undefined);
    return { planned: facts, applied, submissions: server.seen.slice(before).filter(({ path }) => SUBMIT.test(path)) };
  }

  test('a run without a name is submitted once, although the response was lost', async () => {
    const command = `echo ${uniqueName('unnamed')}`;
    const { name: _unnamed, ...configuration } = task('unnamed', { commands: [command] });
    const { planned, applied, submissions } = await applyOnce(
      await connection.home.write('unnamed.dstack.yml', configuration),
    );
    expect(submissions).toHaveLength(1);
    expect(await countRuns(command)).toBe(1);
    // It was named before it was applied, so it can be looked up.
    expect(applied.facts).toMatchObject({ outcome: 'done', resource: planned['resource'] });
    expect(applied.text).toMatch(/was sent once, and the response of dstack's server was lost/);
  });

  test('a fleet is submitted once, although the response was lost', async () => {
    const { home, client } = connection;
    const name = uniqueName('once');
    const fleet = { type: 'fleet', name, nodes: '0..1', backends: ['cloudrift'] };
    const { applied, submissions } = await applyOnce(await home.write('f.dstack.yml', fleet));
    expect(submissions).toHaveLength(1);
    // Before the request was judged, dstack's refusal of the repeated request was reported as a failure.
    expect(applied.facts['outcome']).toBe('done');
    const preview = await client.call('delete', { type: 'fleet', name });
    expect((await client.call('apply', { token: preview.facts['token'] })).facts['outcome']).toBe('done');
  });
});

test('a change asks no other host than the server of the project, and neither does any read', async () => {
  const { server, home, client } = await connectInMode('on', onTestFinished);
  // Without this file, dstack's CLI asks the internet for a newer version.
  await writeFile(path.join(home.home, '.cache', '.dstack', 'cli', 'last_check'), '', { flag: 'w' });
  const elsewhere = await startFaultyServer(inject('sandbox').url);
  server.breakWith({ kind: 'redirect', to: `${elsewhere.url}/api/runs/list` }, /\/runs\/list$/);
  const answer = await client.call('ps');
  expect(answer.facts['outcome']).toBe('failed');
  expect(elsewhere.seen).toEqual([]);
});

test('a file that dstack reads differently than this server is neither planned nor deleted', async () => {
  const { home, client } = await connectInMode('on', onTestFinished);
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

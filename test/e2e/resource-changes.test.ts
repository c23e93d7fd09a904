import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { addProject, runNames, stopRuns } from '../support/ask-server.ts';
import { connectChangeClient, expectBlocked } from '../support/change-client.ts';
import type { ChangeClient } from '../support/change-client.ts';
import { collectEnds } from '../support/collect-ends.ts';
import type { Answer, TestClient } from '../support/connect.ts';
import { task, uniqueName } from '../support/test-home.ts';
import { previewAndDelete, until, waitForLog, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
const NO_FLEETS = uniqueName('bare');
let changes: ChangeClient;
let client: TestClient;

beforeAll(async () => {
  changes = await connectChangeClient(atEnd);
  ({ client } = changes);
  await addProject(changes.home, NO_FLEETS);
});

describe('a run', () => {
  test('is created, left unchanged, updated in place, and replaced only by its typed name', async () => {
    const name = uniqueName('life');
    const first = task(name, { priority: 10 });
    await changes.start(name, first);
    const running = await waitForRun(client, name, 'running');
    const created = runId(running);

    const same = await changes.plan(first);
    expect(same.facts).toMatchObject({ outcome: 'nothing-to-do', operation: 'none' });
    expect(same.facts['token']).toBeUndefined();
    expect(same.facts['next']).toMatch(/Nothing has to be applied/);

    const updated = await changes.plan(task(name, { priority: 20 }));
    expect(updated.facts).toMatchObject({ outcome: 'done', operation: 'update', changes: ['priority'] });
    expect(updated.text).toMatch(/Update in place task .*changes: priority/);
    const update = await changes.apply(updated);
    expect(update.facts, update.text).toMatchObject({ outcome: 'done', operation: 'update' });
    expect(update.facts['summary']).toContain(`Run ${name} updated, detaching...`);
    expect(runId(await client.call('get', { name }))).toBe(created);

    const other = task(name, { priority: 20, commands: ['echo second', 'sleep infinity'] });
    const replacing = await changes.plan(other);
    expect(replacing.facts).toMatchObject({ outcome: 'done', operation: 'replace' });
    expect(replacing.text).toMatch(/Stop and replace/);
    changes.answerNext({ action: 'accept', content: { name: `${name}x` } });
    const wrong = await changes.apply(replacing);
    expect(changes.prompts.at(-1)).toMatch(new RegExp(`Would be stopped or lost:\\n- task ${name}, now running`));
    expect(changes.prompts.at(-1)).toContain(`Type the name ${name} to approve.`);
    expect(wrong.facts).toMatchObject({ outcome: 'refused', code: 'person-declined' });
    expect(wrong.text).toMatch(/typed a name other than .*token is no longer valid/);
    expect((await changes.apply(replacing)).facts['code']).toBe('person-declined');
    expect(runId(await client.call('get', { name }))).toBe(created);

    const replaced = await changes.apply(await changes.plan(other));
    expect(replaced.facts, replaced.text).toMatchObject({ outcome: 'done', operation: 'replace' });
    expect(replaced.facts['consent']).toMatch(/^person-form/);
    expect(runId(await waitForRun(client, name, 'running'))).not.toBe(created);
    const log = await waitForLog(client, name, 'second');
    expect(log.facts['output']).not.toContain('the first line');
  });

  test('that stops is stopped once, by the preview token', async () => {
    const name = uniqueName('stopping');
    await changes.start(name, task(name));
    await waitForRun(client, name, 'running');
    const preview = await client.call('stop', { run: name, abort: true });
    expect(preview.facts).toMatchObject({ outcome: 'done', operation: 'abort' });
    expect(preview.text).toMatch(/Abort run .* is running.*Nothing was stopped yet/);
    const aborted = await client.call('apply', { token: preview.facts['token'] });
    expect(changes.prompts.at(-1)).toContain('it gets no time to save anything');
    expect(aborted.facts).toMatchObject({ outcome: 'done', operation: 'abort' });
    expect(aborted.facts['summary']).toContain('Aborted');
    // dstack keeps an aborted run for another half minute, for the rest of its log.
    expect(aborted.facts['status']).toMatch(/^terminat(?:ing|ed)$/);
  });
});

const runId = ({ facts }: Answer): string => z.looseObject({ id: z.string() }).parse(facts['run']).id;

describe('a plan that cannot be applied states the reason in dstack’s words:', () => {
  test('no offers', async () => {
    const name = uniqueName('greedy');
    expectBlocked(await changes.plan(task(name, { resources: { gpu: 'B200:8' } })), {
      says: /No matching instance offers available/,
      next: /what would fit, and plan again/,
    });
    expect(await runNames()).not.toContain(name);
  });

  test('no fleets', async () => {
    expectBlocked(await changes.plan(task(uniqueName('fleetless')), { project: NO_FLEETS }), {
      says: /The project has no fleets\. Create one before submitting a run/,
      next: /Create a fleet first.*type: fleet/,
    });
  });

  test('a property that dstack does not know', async () => {
    const plan = await changes.plan(task(uniqueName('typing-error'), { comands: ['echo'] }));
    expect(plan.facts).toMatchObject({ outcome: 'blocked', code: 'invalid-file', hash: expect.any(String) });
    expect(plan.text).toMatch(/is invalid: [12] problems?\. Nothing was planned\.[^]*error in comands[^]*`commands`/);
    expect(plan.facts['next']).toMatch(/write_config/);
  });

  test('a variable that is not set', async () => {
    const plan = await changes.plan(task(uniqueName('lacking'), { env: ['NOBODY_SETS_THIS'] }));
    expectBlocked(plan, { says: /Environment variable NOBODY_SETS_THIS is not set/, next: /set the variable/ });
    expect(plan.facts['code']).toBe('missing-variable');
  });

  test('a name that dstack does not take', async () => {
    expectBlocked(await changes.plan(task('Not_A_Name')), {
      says: /Resource name should match regex/,
      next: /a-z, 0-9/,
    });
  });
});

const fleetNamed = (name: string, facts: Answer['facts']): unknown =>
  z
    .array(z.looseObject({ name: z.string() }))
    .parse(facts['fleets'])
    .find((fleet) => fleet.name === name);

test('a fleet is created, grows with a run, can’t be deleted while busy, and is deleted by its typed name', async () => {
  const fleet = uniqueName('fleet');
  const run = uniqueName('guest');
  const configuration = { type: 'fleet', name: fleet, nodes: '0..1', backends: ['cloudrift'], idle_duration: '1h' };
  await changes.start(fleet, configuration);
  const shown = await until(
    () => client.call('fleet', { name: fleet }),
    ({ facts }) => JSON.stringify(facts['fleet']).includes('"status":"active"'),
  );
  expect(shown.text).toContain(`Fleet ${fleet} is active`);
  expect((await changes.plan(configuration)).facts['outcome']).toBe('nothing-to-do');

  await changes.start(run, task(run, { resources: { gpu: 'RTX4090' }, fleets: [fleet] }));
  await waitForRun(client, run, 'running');
  // dstack updates the instance separately from the run, so it may still be "provisioning" for a while.
  const listed = await until(
    () => client.call('fleet'),
    ({ facts }) => JSON.stringify(fleetNamed(fleet, facts)).includes('"status":"busy"'),
  );
  expect(fleetNamed(fleet, listed.facts)).toMatchObject({
    instances: [{ instance: 0, status: 'busy', pricePerHour: 0.39 }],
  });

  const busy = await client.call('delete', { type: 'fleet', name: fleet });
  expect(busy.facts, busy.text).toMatchObject({ outcome: 'blocked', operation: 'delete' });
  expect(busy.facts).not.toHaveProperty('token');
  expect(busy.facts['summary']).toContain(`busy: ${fleet}-0`);
  expect(busy.facts['next']).toMatch(/\bps\b.*stop/);

  await stopRuns(run);
  await until(
    () => client.call('fleet', { name: fleet }),
    ({ facts }) => JSON.stringify(facts['fleet']).includes('"status":"idle"'),
  );
  const wrong = await client.call('delete', { type: 'instance', name: fleet, instance: 7 });
  expect(wrong.facts).toMatchObject({ outcome: 'refused', code: 'invalid-value' });
  const one = await previewAndDelete(client, { type: 'instance', name: fleet, instance: 0 });
  expect(one.preview.facts['summary']).toContain(`Delete instance 0 of fleet ${fleet}?`);
  expect(one.deleted.facts['summary'], one.deleted.text).toContain(`Fleet ${fleet} instances deleted`);
  expect((await client.call('fleet', { name: fleet })).facts['outcome']).toBe('done');

  const { deleted } = await previewAndDelete(client, { type: 'fleet', name: fleet });
  expect(changes.prompts.at(-1)).toContain(`Type the name ${fleet} to approve.`);
  expect(deleted.facts, deleted.text).toMatchObject({ outcome: 'done', operation: 'delete' });
  await until(
    () => client.call('fleet'),
    ({ text }) => !text.includes(fleet),
  );
});

test('a volume is created, shown and deleted', async () => {
  const name = uniqueName('volume');
  const configuration = { type: 'volume', name, backend: 'runpod', region: 'EU-RO-1', size: '100GB' };
  const plan = await changes.plan(configuration);
  expect(plan.facts).toMatchObject({ outcome: 'done', operation: 'create', resource: { kind: 'volume', name } });
  const applied = await changes.apply(plan);
  expect(applied.facts).toMatchObject({ outcome: 'done', operation: 'create' });
  const active = await until(
    () => client.call('get', { name, type: 'volume' }),
    ({ facts }) => facts['status'] === 'active',
  );
  expect(active.facts['resource']).toMatchObject({ kind: 'volume', name });
  const volumes = await client.call('list', { type: 'volumes' });
  expect(volumes.facts['items']).toContainEqual(expect.objectContaining({ NAME: name }));

  const { preview, deleted } = await previewAndDelete(client, { type: 'volume', name });
  expect(preview.facts['summary']).toContain('the data on it is lost');
  expect(deleted.facts, deleted.text).toMatchObject({ outcome: 'done', operation: 'delete' });
  await until(
    () => client.call('list', { type: 'volumes' }),
    ({ text }) => !text.includes(name),
  );
});

test('a service is reachable at its reported URL', async () => {
  const name = uniqueName('service');
  await changes.start(name, {
    ...task(name, { commands: ['python -m http.server 8000'] }),
    type: 'service',
    port: 8000,
    auth: false,
  });
  const { facts, text } = await waitForRun(client, name, 'running');
  const { serviceUrl } = z.looseObject({ serviceUrl: z.url() }).parse(facts['run']);
  expect(facts['summary']).toContain(`curl ${serviceUrl}\n`);
  expect(text).toContain('auth: off');
  expect(text).not.toContain('Authorization');
  const page = await until(
    () => fetch(serviceUrl),
    ({ ok }) => ok,
  );
  expect(await page.text()).toContain(name);
});

test('a model is reachable at its reported OpenAI-compatible URL, and the token is never shown', async () => {
  const name = uniqueName('model');
  await changes.start(name, {
    ...task(name, { commands: ['serve'] }),
    type: 'service',
    port: 8000,
    model: 'tiny/model',
  });
  const { facts, text } = await waitForRun(client, name, 'running');
  expect(facts['run']).toMatchObject({ model: 'tiny/model' });
  const base = /call it: curl (\S+\/v1)\/chat\/completions .* -H "Authorization: Bearer \$DSTACK_TOKEN"\n/.exec(
    text,
  )?.[1];
  const { token } = inject('sandbox');
  expect(text).not.toContain(token);
  const models = await until(
    () => fetch(`${base}/models`, { headers: { authorization: `Bearer ${token}` } }),
    ({ ok }) => ok,
  );
  expect(await models.json()).toMatchObject({ data: [{ id: 'tiny/model' }] });
});

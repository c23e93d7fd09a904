import { expect, test } from 'vitest';
import { FILES, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';

interface Planned {
  readonly text?: string;
  readonly plan?: Output;
  readonly reads?: Record<string, Output>;
  readonly profile?: string;
}

/** Returns the money in the summary and the facts of a plan. */
async function costOf({ text = FILES['task.dstack.yml'], plan = 'plan-task-create', reads = {}, profile }: Planned) {
  const changes = setUpChanges();
  changes.world.reads = { apply: plan, ...reads };
  changes.write('some.dstack.yml', text);
  if (profile !== undefined) changes.write('.dstack/profiles.yml', profile);
  const { facts, summary } = await changes.preview({ tool: 'apply', file: 'some.dstack.yml' });
  const [, words] = /some\.dstack\.yml(?: \(changes: [^)]*\))?, (.*)\. Nothing was changed yet\.$/.exec(summary) ?? [];
  return { words, pricePerHour: facts.pricePerHour, mostPerHour: facts.mostPerHour, totalPrice: facts.totalPrice };
}

const retried = (policy: string): Output =>
  rewritten('plan-task-create', ['Retry policy   off', `Retry policy   ${policy}`]);
const fleet = (nodes: string): Output => rewritten('plan-fleet-create', ['min=0 target=0 max=4', nodes]);
const task = FILES['task.dstack.yml'];

test('the limit in total adds the time of stopping and of idling to max_duration, rounded up to a cent', async () => {
  expect(await costOf({})).toEqual({
    words: '$0.39/h, at most $0.85 in 2h 10m',
    pricePerHour: 0.39,
    mostPerHour: 0.39,
    totalPrice: 0.85,
  });
});

test('the limit counts all offers, also those that dstack does not show', async () => {
  expect(await costOf({ plan: 'plan-task-more-offers' })).toMatchObject({
    words: '$0.39/h (up to $1.30/h), no limit in total',
    mostPerHour: 1.3,
  });
});

test.each<[string, Planned, string]>([
  ['a schedule', { text: `${task}schedule: {cron: "0 * * * *"}\n` }, 'no limit in total'],
  ['a retry', { plan: retried('1h[no-capacity, interruption, error]') }, 'no limit in total'],
  ['a retry that is printed in other words', { plan: retried('1h') }, 'no limit in total'],
  ['a retry for lack of capacity, which never ran', { plan: retried('1h[no-capacity]') }, 'at most $0.85 in 2h 10m'],
  ['a longer stop', { text: `${task}stop_duration: 2h\n` }, 'at most $1.60 in 4h 5m'],
  ['a longer stop in seconds', { text: `${task}stop_duration: 7200\n` }, 'at most $1.60 in 4h 5m'],
  ['a longer stop as dstack also reads it', { text: `${task}stop_duration: "2 h"\n` }, 'at most $1.60 in 4h 5m'],
  ['a stop without a limit', { text: `${task}stop_duration: off\n` }, 'no limit in total'],
  ['a stop of unknown length', { text: `${task}stop_duration: soon\n` }, 'unknown in total'],
  [
    'a longer idle time',
    { plan: rewritten('plan-task-create', ['Idle duration  5m', 'Idle duration  3d']) },
    'at most $28.90 in 3d 2h',
  ],
  [
    'a machine that is never ended',
    { plan: rewritten('plan-task-create', ['Idle duration  5m', 'Idle duration  - ']) },
    'no limit in total',
  ],
  [
    'no max_duration',
    { plan: rewritten('plan-task-create', ['Max duration   2h ', 'Max duration   off']) },
    'no limit in total',
  ],
  ['a profile with a schedule', { profile: 'profiles: [{name: p, schedule: {cron: x}}]' }, 'unknown in total'],
  ['a profile with a longer stop', { profile: 'profiles: [{name: p, stop_duration: 9d}]' }, 'unknown in total'],
  ['a profile with an escaped name', { profile: 'profiles: [{name: p, "\\x73chedule": {}}]' }, 'unknown in total'],
  ['another profile', { profile: 'profiles: [{name: p, max_duration: 2h}]' }, 'at most $0.85 in 2h 10m'],
])('the limit of a run in total counts %s', async (_what, planned, total) => {
  expect((await costOf(planned)).words).toBe(`$0.39/h, ${total}`);
});

test('a range of nodes or replicas counts up to its end, and an open one has no limit', async () => {
  const service = (replicas: string): Planned => ({
    text: `${FILES['svc.dstack.yml']}replicas: ${replicas}\n`,
    plan: rewritten('plan-service-create', ['Max duration   off', 'Max duration   2h ']),
  });
  expect((await costOf(service('2'))).words).toBe('$0.78/h, at most $1.69 in 2h 10m');
  expect((await costOf(service('1..4'))).words).toBe('$1.56/h, no limit in total');
  expect(await costOf(service('1..'))).toMatchObject({ words: '$0.39/h (no limit per hour), no limit in total' });
  const cloud = (nodes: string): Planned => ({ text: FILES['fleet.dstack.yml'], plan: fleet(nodes) });
  expect((await costOf(cloud('min=0 target=0 max=4'))).words).toBe('$0 now, up to $5.20/h, no limit in total');
  const open = await costOf(cloud('min=0 target=0 max=None'));
  expect(open.words).toBe('$0 now, no limit per hour, no limit in total');
  expect(open).toMatchObject({ mostPerHour: undefined, totalPrice: undefined });
});

test('an update in place of a service counts the replica that a rolling deployment adds', async () => {
  const planned = {
    text: FILES['svc.dstack.yml'],
    plan: 'plan-service-update',
    reads: { 'run get': 'run-get-running' },
  };
  expect((await costOf(planned)).words).toMatch(/^\$0\.39\/h \(up to \$0\.78\/h\), no limit in total\./);
});

test('groups with separate offers have an unknown price', async () => {
  const text = 'type: service\nname: lab-groups\nreplicas:\n  - {name: a, count: 1}\n';
  expect((await costOf({ text, plan: 'plan-service-groups' })).words).toBe('unknown price, no limit in total');
});

test('a fleet of own machines costs nothing, and only such a fleet', async () => {
  const text = 'type: fleet\nname: on-prem\nssh_config: {user: me, hosts: [a, b]}\n';
  expect((await costOf({ text, plan: 'plan-fleet-ssh' })).words).toBe('$0.00/h, at most $0.00 in total');
  const empty = `${FILES['fleet.dstack.yml']}ssh_config:\n`;
  expect((await costOf({ text: empty, plan: 'plan-fleet-create' })).mostPerHour).toBe(5.2);
});

const PRICES = {
  dearer: 'Price: $0.39/h (up to $1.30/h)',
  open: 'Price: $0.39/h (no limit per hour)',
  empty: 'Price: $0 now, no limit per hour',
  unknown: 'Price: unknown',
};

test.each<[string, string, Output, string]>([
  ['the first offer is below the price, but not the dearest one', task, 'plan-task-more-offers', PRICES.dearer],
  [
    'the fleet starts with nothing, but has no upper limit',
    FILES['fleet.dstack.yml'],
    fleet('min=0 target=0 max=None'),
    PRICES.empty,
  ],
  [
    'the fleet starts with one node, but has no upper limit',
    FILES['fleet.dstack.yml'],
    fleet('min=1 target=1 max=None'),
    PRICES.open,
  ],
  ['the volume has an unknown price', FILES['vol.dstack.yml'], 'plan-volume-create', PRICES.unknown],
  ['the dearest offer is below the price', task, 'plan-task-create', 'allowed'],
])('allow_below compares the limit per hour: %s', async (_what, text, plan, price) => {
  const changes = setUpChanges({
    policy: 'consent: {create: {allow_below: 1, otherwise: person}}',
    settings: { confirm: 'person' },
  });
  changes.world.reads = { apply: plan };
  changes.world.changes = { apply: 'apply-task-created' };
  changes.write('some.dstack.yml', text);
  const token = await changes.mint({ tool: 'apply', file: 'some.dstack.yml' });
  const answer = await changes.redeem(token, { canAskPerson: true });
  expect('kind' in answer ? answer.message : 'allowed').toContain(price);
});

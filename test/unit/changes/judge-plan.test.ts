import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { FILES, printedJson, reportOf, rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
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
    reads: { 'run get': 'run-get-service' },
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

const APPLY: ApplyRequest = { tool: 'apply', file: 'svc.dstack.yml' };
const CHANGED = '  - commands';
const NO_OFFERS = 'No matching instance offers available. Possible reasons:';

/** A service with one job for each of these statuses, one per replica. */
const serviceWith = (...statuses: readonly string[]): Transcript =>
  printedJson({
    id: 's1',
    status: 'running',
    run_spec: { run_name: 'lab-svc', configuration: { type: 'service', port: 8000 } },
    jobs: statuses.map((status, replica) => ({
      job_spec: { job_name: `lab-svc-0-${replica}`, replica_num: replica, job_num: 0 },
      job_submissions: [{ id: `j${replica}`, status, submitted_at: '2026-01-01T00:00:00Z' }],
    })),
  });

/** The plan of an update of these properties. */
const update = (...properties: readonly string[]): Transcript =>
  rewritten('plan-service-update', [CHANGED, properties.map((name) => `  - ${name}`).join('\n')]);

/** Removes the offers from a plan. */
function withoutOffers(plan: Transcript): Transcript {
  const lines = plan.stdout.split('\n');
  const start = lines.findIndex((line) => line.startsWith(' # '));
  return { ...plan, stdout: [...lines.slice(0, start), NO_OFFERS, ...lines.slice(start + 3)].join('\n') };
}

/** Sets a service up that is updated. `replicas` is what the file asks for. */
function updating(plan: Transcript, service: Transcript, replicas: number | string = 1) {
  const changes = setUpChanges();
  changes.write(
    'svc.dstack.yml',
    `type: service\nname: lab-svc\nimage: alpine\ncommands: [serve]\nport: 8000\nreplicas: ${replicas}\n`,
  );
  changes.world.reads = { apply: plan, 'run get': service };
  changes.world.changes = { apply: rewritten('apply-task-created', ['Run lab-task submitted', 'Run lab-svc updated']) };
  return changes;
}

test('an update that restarts replicas says how many, and that they are replaced one after another', async () => {
  const changes = updating(update('commands'), serviceWith('terminated', 'running', 'running'), 2);
  const { card, summary } = await changes.preview(APPLY, { canShowCard: true });
  expect(card).toMatchObject({ operation: 'update' });
  expect(card?.summary.losses).toEqual([
    '2 running replicas are replaced by new ones, one after another: an old one is ended once a new one receives traffic',
  ]);
  expect(summary).toContain('(changes: commands)');
  expect(summary).toContain('2 running replicas are replaced by new ones, one after another');
});

test.each(['priority', 'scaling', 'gateway'])('an update of %s alone restarts nothing', async (property) => {
  const changes = updating(update(property), serviceWith('running'));
  const { card } = await changes.preview(APPLY, { canShowCard: true });
  expect(card?.summary.losses).toEqual([]);
});

test('an unknown property counts as a restart', async () => {
  const changes = updating(update('priority', 'something_new'), serviceWith('running'));
  const { card } = await changes.preview(APPLY, { canShowCard: true });
  expect(card?.summary.losses).toEqual([expect.stringContaining('1 running replica is replaced')]);
});

test('fewer replicas: as many as are too many are ended', async () => {
  const changes = updating(update('replicas'), serviceWith('running', 'running', 'running'), 1);
  const { card } = await changes.preview(APPLY, { canShowCard: true });
  expect(card?.summary.losses).toEqual(['2 of 3 running replicas are ended, because `replicas` is lower']);
});

test('more replicas restart nothing', async () => {
  const changes = updating(update('replicas'), serviceWith('running'), 2);
  const { card } = await changes.preview(APPLY, { canShowCard: true });
  expect(card?.summary.losses).toEqual([]);
});

test.each<[string, Transcript, number]>([
  ['new commands', update('commands'), 1],
  ['one replica more', update('replicas'), 2],
])('without room for a new replica, the update is blocked: %s', async (_what, plan, replicas) => {
  const changes = updating(withoutOffers(plan), serviceWith('running'), replicas);
  const report = await changes.preview(APPLY);
  expect(report).toMatchObject({ outcome: 'blocked', facts: { blockers: [{ code: 'no-offers' }] } });
  expect(report.summary).toMatch(/without one the run fails and 1 running replica is ended/);
  expect(report.next).toMatch(/stop it first/);
  expect(report.facts).not.toHaveProperty('token');
});

test('without an offer that is available now, the update is blocked, too', async () => {
  const taken = rewritten('plan-service-update', ['$0.39       \n 2', '$0.39  busy \n 2']);
  const report = await updating(taken, serviceWith('running')).preview(APPLY);
  expect(report).toMatchObject({ outcome: 'blocked', facts: { blockers: [{ code: 'offers-taken' }] } });
});

test.each<[string, Transcript, number]>([
  ['nothing is restarted', update('priority'), 1],
  ['replicas are only ended', update('replicas'), 1],
])('no room is needed where %s', async (_what, plan, replicas) => {
  const changes = updating(withoutOffers(plan), serviceWith('running', 'running'), replicas);
  expect((await changes.preview(APPLY)).facts.token).toBeDefined();
});

test('an update that waits for capacity needs the consent of a replacement, and names what may be lost', async () => {
  const waiting = withoutOffers(
    rewritten('plan-service-update', ['Retry policy   off            ', 'Retry policy   1h[no-capacity]']),
  );
  const changes = updating(waiting, serviceWith('running', 'running'), 2);
  const { card, facts } = await changes.preview(APPLY, { canShowCard: true });
  expect(card).toMatchObject({ operation: 'replace', nameToType: 'lab-svc' });
  expect(card?.summary.losses.at(-1)).toBe(
    'if a new replica finds no machine within 1h, the run fails and 2 running replicas are ended',
  );
  expect(facts.operation).toBe('update');
});

test('an update whose room is gone by the time of the redemption is not made', async () => {
  const changes = updating(update('commands'), serviceWith('running'));
  const token = tokenOf(await changes.preview(APPLY));
  changes.world.reads['apply'] = withoutOffers(update('commands'));
  await expect(changes.redeem(token)).rejects.toThrow('no longer possible');
  expect(changes.changed()).toEqual([]);
});

test('an update with room is made by its token', async () => {
  const changes = updating(update('commands'), serviceWith('running'));
  changes.world.changes['apply'] = () => {
    const updated = serviceWith('running');
    changes.world.reads['run get'] = { ...updated, stdout: updated.stdout.replace('8000', '8001') };
    return rewritten('apply-task-created', ['Run lab-task submitted', 'Run lab-svc updated']);
  };
  expect(reportOf(await changes.redeem(await changes.mint(APPLY))).outcome).toBe('done');
});

test('an update of a task restarts nothing', async () => {
  const changes = setUpChanges();
  changes.world.reads = { apply: 'plan-task-update', 'run get': 'run-get-running' };
  const { card } = await changes.preview({ tool: 'apply', file: 'task.dstack.yml' }, { canShowCard: true });
  expect(card?.summary.losses).toEqual([]);
});

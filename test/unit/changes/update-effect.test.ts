import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { printedJson, reportOf, rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';

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

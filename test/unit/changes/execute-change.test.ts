import { rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ChangeFacts } from '../../../src/changes/change-facts.ts';
import { describeUnfinishedState } from '../../../src/changes/execute-change.ts';
import type { ChangeRequest } from '../../../src/core/change.ts';
import type { Report } from '../../../src/core/report.ts';
import type { Exit, WireEvent } from '../../../src/core/transcript.ts';
import { auditEntry } from '../../../src/safety/audit/audit-log.ts';
import type { AuditEntry } from '../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { readFixture } from '../../support/read-fixture.ts';
import {
  CHOSEN_NAME,
  SHORT_MS,
  idleFleet,
  printedJson,
  reportOf,
  rewritten,
  setUpChanges,
} from '../../support/set-up-changes.ts';
import type { Output, World } from '../../support/set-up-changes.ts';

const APPLY: ChangeRequest = { tool: 'apply', file: 'task.dstack.yml' };
const STOP: ChangeRequest = { tool: 'stop', run: 'lab-task', abort: false };
const DELETE_FLEET: ChangeRequest = { tool: 'delete', kind: 'fleet', name: 'lab-cloud' };
const DELETE_RUN: ChangeRequest = { tool: 'delete', file: 'task.dstack.yml' };

const READS: Record<string, Output> = {
  apply: 'plan-task-create',
  'run get': 'run-get-running',
  'fleet get': idleFleet(),
};

/** Makes a change in a world where dstack prints this while it is made. `afterwards` changes what dstack prints from then on. */
async function made(
  request: ChangeRequest,
  {
    command,
    printed,
    reads,
    afterwards,
  }: {
    command: string;
    printed: Output;
    reads?: Record<string, Output>;
    afterwards?: (world: World, changes: ReturnType<typeof setUpChanges>) => void;
  },
  timeoutMs = 60_000,
): Promise<Report<ChangeFacts>> {
  const changes = setUpChanges({ timeoutMs });
  changes.world.reads = { ...READS, ...reads };
  changes.world.changes[command] = (argv, options) => {
    afterwards?.(changes.world, changes);
    const output = typeof printed === 'function' ? printed(argv, options) : printed;
    return typeof output === 'string' ? readFixture(output) : output;
  };
  return reportOf(await changes.redeem(await changes.mint(request)));
}

/** Output of dstack up to another kind of end. */
const endedBy = (name: string, exit: Exit, stdout = readFixture(name).stdout): Output => ({
  ...readFixture(name),
  stdout,
  exit,
});

test('a change that dstack reports as done is done, with the state that was looked up afterwards', async () => {
  const report = await made(APPLY, { command: 'apply', printed: 'apply-task-created' });
  expect(report).toMatchObject({
    outcome: 'done',
    summary: 'Run lab-task submitted, detaching... The run lab-task is running.',
    facts: { status: 'running' },
    next: expect.stringContaining('get'),
  });
  // The plan was shown before, and the summary has dstack's own line.
  expect(report.printed).toEqual([]);
});

test('the state that its own command saw after a change is not looked up again, unless the server renamed the run', async () => {
  const change = { path: 'runs/apply', kind: 'change' } as const;
  const value: unknown = { ...JSON.parse(readFixture('run-get-running').stdout), status: 'provisioning' };
  const requests: WireEvent[] = [
    { event: 'sent', ...change },
    { event: 'answered', ...change, status: 200 },
    { event: 'found', path: 'runs/get', value },
  ];
  const created = { ...readFixture('apply-task-created'), requests };
  const report = await made(APPLY, { command: 'apply', printed: created });
  expect(report).toMatchObject({ outcome: 'done', facts: { status: 'provisioning' } });
  const renamed = { ...created, stdout: created.stdout.replaceAll('lab-task', 'team-lab-task') };
  const afterwards = (world: World): void => {
    world.reads['run get'] = rewritten('run-get-running', ['lab-task', 'team-lab-task']);
  };
  const other = await made(APPLY, { command: 'apply', printed: renamed, afterwards });
  expect(other.facts).toMatchObject({ resource: { name: 'team-lab-task' }, status: 'running' });
});

test('a change whose command ended after its consent, and before it was allowed, has failed, and its token is spent', async () => {
  const changes = setUpChanges();
  changes.world.reads = READS;
  const reason = 'dstack was ended right before its change: the worker ended with SIGKILL';
  changes.world.changes = { stop: endedBy('stop-stopped', { kind: 'not-started', reason }, '') };
  const token = await changes.mint(STOP);
  const report = reportOf(await changes.redeem(token));
  expect(report).toMatchObject({
    outcome: 'failed',
    summary: expect.stringContaining(reason),
    next: expect.stringContaining('Nothing was changed.'),
  });
  expect(changes.audited.map(({ event, outcome }) => [event, outcome])).toEqual([
    ['asked', undefined],
    ['approved', undefined],
    ['done', 'failed'],
  ]);
  expect(reportOf(await changes.redeem(token))).toMatchObject({ outcome: 'failed' });
  expect(changes.changed()).toHaveLength(1);
});

test('a change after which the state cannot be looked up is done all the same, and no state is claimed', async () => {
  const report = await made(APPLY, {
    command: 'apply',
    printed: 'apply-task-created',
    afterwards: (world) => {
      world.reads['run get'] = 'error-unreachable';
    },
  });
  expect(report).toMatchObject({ outcome: 'done', summary: 'Run lab-task submitted, detaching...' });
  expect(report.facts).not.toHaveProperty('status');
});

test('a change after which nothing of that name is there is unknown, and claims no state', async () => {
  const change = { command: 'apply', printed: 'apply-task-created', reads: { 'run get': 'run-get-not-found' } };
  const report = await made(APPLY, change, SHORT_MS);
  expect(report.outcome).toBe('unknown');
  expect(report.summary).toContain("dstack doesn't show it yet.");
  expect(report.facts).not.toHaveProperty('status');
});

test('a name that dstack chose is the one that is looked up and returned', async () => {
  const plan = rewritten('plan-task-create', ['Submit the run lab-task?', 'Submit a new run?'], ['nodes=1', 'nodes=2']);
  const asked: string[] = [];
  const report = await made(
    { tool: 'apply', file: 'unnamed.dstack.yml' },
    {
      command: 'apply',
      printed: rewritten('apply-task-created', ['Run lab-task submitted', 'Run fluffy-cat-1 submitted']),
      reads: {
        apply: plan,
        'run get': (argv) => {
          asked.push(argv.at(-1) ?? '');
          return rewritten('run-get-running', ['lab-task', 'fluffy-cat-1']);
        },
      },
    },
  );
  expect(asked).toEqual(['fluffy-cat-1']);
  expect(report.facts.resource).toEqual({ kind: 'task', name: 'fluffy-cat-1' });
  expect(report.summary).toContain('The run fluffy-cat-1 is running.');
});

test.each([
  ['min=0 target=0 max=4', 'It has no instance, and costs nothing, until a run needs one. Plan the run now.'],
  ['min=1 target=1 max=4', 'It is provisioned in the background: check with fleet, list or get.'],
])('a fleet of %s nodes says whether it is provisioned', async (nodes, next) => {
  const changes = setUpChanges();
  const nodesNow = /min=\d+ target=\d+ max=\d+/.exec(readFixture('plan-fleet-create').stdout)?.[0] ?? '';
  changes.world.reads = { apply: rewritten('plan-fleet-create', [nodesNow, nodes]), 'fleet get': 'fleet-get' };
  changes.world.changes = { apply: 'apply-fleet-created' };
  const report = reportOf(await changes.redeem(await changes.mint({ tool: 'apply', file: 'fleet.dstack.yml' })));
  expect(report).toMatchObject({ outcome: 'done', next });
});

test('a resource without a name is looked up by the name that was chosen for it', async () => {
  const changes = setUpChanges();
  changes.write('fleet2.dstack.yml', 'type: fleet\nnodes: 1\nbackends: [cloudrift]\n');
  changes.world.reads = { apply: 'plan-fleet-unnamed', 'fleet get': 'fleet-get' };
  changes.world.changes = { apply: 'apply-fleet-created' };
  const token = await changes.mint({ tool: 'apply', file: 'fleet2.dstack.yml' });
  const report = reportOf(await changes.redeem(token));
  const { name } = report.facts.resource ?? {};
  expect(report.outcome).toBe('done');
  expect(name).toMatch(CHOSEN_NAME);
  expect(changes.changed()[0]?.argv).toContain(name);
  expect(changes.ran.at(-1)).toMatchObject({ command: 'fleet get', argv: expect.arrayContaining([name]) });
});

test("dstack's refusal of a change is a failure in its own words, and the state is looked up too", async () => {
  const report = await made(DELETE_FLEET, { command: 'fleet delete', printed: 'fleet-delete-in-use' });
  expect(report.outcome).not.toBe('done');
  expect(report.summary).toContain('The fleet lab-cloud is active.');
  expect(report.facts.status).toBe('active');
});

test.each<[string, Exit]>([
  ['a time limit', { kind: 'timed-out', stillRunning: true }],
  ['the loss of the process', { kind: 'lost', reason: 'the worker died' }],
])('a change that was cut off by %s is done if it is seen, and else unknown', async (_what, exit) => {
  const change = { command: 'apply', printed: endedBy('apply-task-created', exit, '') };
  const seen = await made(APPLY, change);
  expect(seen.outcome).toBe('done');
  expect(seen.summary).toContain('It was made: dstack shows it. The run lab-task is running.');
  const unseen = await made(APPLY, { ...change, reads: { 'run get': 'run-get-not-found' } }, SHORT_MS);
  expect(unseen.outcome).toBe('unknown');
  expect(unseen.next).toMatch(/ps|fleet|list|get/);
});

test('a change whose outcome was not known in time is looked at again with its token, and never made again', async () => {
  const changes = setUpChanges({ timeoutMs: SHORT_MS });
  changes.world.reads = { ...READS, 'run get': 'run-get-not-found' };
  changes.world.changes = { apply: endedBy('apply-task-created', { kind: 'timed-out', stillRunning: true }, '') };
  const token = await changes.mint(APPLY);
  const first = reportOf(await changes.redeem(token));
  expect(first.outcome).toBe('unknown');
  const second = reportOf(await changes.redeem(token));
  expect(second.summary).toBe(`This token was used before; nothing was done again. The result then: ${first.summary}`);
  changes.world.reads['run get'] = 'run-get-running';
  const third = reportOf(await changes.redeem(token));
  expect(third).toMatchObject({ outcome: 'done', facts: { status: 'running' } });
  expect(third.summary).toMatch(/nothing was done again\. The result now: .*The run lab-task is running\.$/);
  expect(changes.changed()).toHaveLength(1);
});

test('a change that was killed after dstack had shown the plan has an unknown outcome, one before it has failed', async () => {
  const killed = { kind: 'signalled', signal: 'SIGKILL' } as const;
  const shown = readFixture('apply-task-created').stdout.replace(/Run lab-task submitted.*/, '');
  const reads = { 'run get': 'run-get-not-found' };
  const after = await made(
    APPLY,
    { command: 'apply', printed: endedBy('apply-task-created', killed, shown), reads },
    SHORT_MS,
  );
  expect(after.outcome).toBe('unknown');
  const before = await made(APPLY, { command: 'apply', printed: endedBy('apply-task-created', killed, '') });
  expect(before.outcome).toBe('failed');
});

test('a change that was cut off after dstack had confirmed it is done', async () => {
  const exit = { kind: 'timed-out', stillRunning: true } as const;
  const report = await made(APPLY, { command: 'apply', printed: endedBy('apply-task-created', exit) });
  expect(report.outcome).toBe('done');
});

test('a change whose process never started has failed, and changed nothing', async () => {
  const exit = { kind: 'not-started', reason: 'spawn ENOENT' } as const;
  const report = await made(APPLY, { command: 'apply', printed: endedBy('apply-task-created', exit, '') });
  expect(report.outcome).toBe('failed');
  expect(report.summary).toContain('spawn ENOENT');
});

test.each<[string, (changes: ReturnType<typeof setUpChanges>) => void]>([
  ['appeared', ({ write }) => void write('.dstack/profiles.yml', 'profiles: []\n')],
  [
    'became a link to nowhere',
    ({ folder, write }) => {
      rmSync(write('.dstack/profiles.yml', ''));
      symlinkSync('/nowhere/at/all.yml', path.join(folder, '.dstack', 'profiles.yml'));
    },
  ],
])(
  'a profile that %s while dstack ran makes the outcome unknown, and the change is in the audit log',
  async (_what, swap) => {
    const changes = setUpChanges();
    changes.world.reads = READS;
    changes.world.changes['apply'] = () => {
      swap(changes);
      return readFixture('apply-task-created');
    };
    const report = reportOf(await changes.redeem(await changes.mint(APPLY)));
    expect(report).toMatchObject({ outcome: 'unknown', facts: { status: 'running' } });
    expect(report.summary).toContain('changed while dstack read it');
    expect(changes.audited.at(-1)).toMatchObject({ event: 'done', outcome: 'unknown' });
  },
);

test('a stop that dstack accepted, of a run that still runs, was taken back', async () => {
  const report = await made(STOP, { command: 'stop', printed: 'stop-stopped' });
  expect(report).toMatchObject({
    outcome: 'failed',
    summary: expect.stringMatching(/then took it back: the run continues.*The run lab-task is running\./),
    facts: { operation: 'stop', status: 'running' },
    next: expect.stringMatching(/Stop it again/),
  });
});

test('a stop of a run that has ended is done', async () => {
  const report = await made(STOP, {
    command: 'stop',
    printed: 'stop-stopped',
    afterwards: (world) => {
      world.reads['run get'] = 'run-get-stopped';
    },
  });
  expect(report).toMatchObject({ outcome: 'done', facts: { status: 'terminated' } });
});

test.each<[string, ChangeRequest, string, Output, string, Output]>([
  [
    'fleet',
    DELETE_FLEET,
    'fleet delete',
    rewritten('volume-delete', ['Volume lab-vol', 'Fleet lab-cloud']),
    'fleet get',
    'fleet-get-not-found',
  ],
  ['run', DELETE_RUN, 'delete', 'delete-run', 'run get', 'run-get-not-found'],
  ['run that was stopped', STOP, 'stop', 'stop-stopped', 'run get', 'run-get-not-found'],
])('a %s that is not found afterwards is gone', async (_what, request, command, printed, get, notFound) => {
  const report = await made(request, {
    command,
    printed,
    reads: request === DELETE_RUN ? { 'run get': 'run-get-stopped' } : {},
    afterwards: (world) => {
      world.reads[get] = notFound;
    },
  });
  expect(report).toMatchObject({ outcome: 'done', facts: { status: 'gone' } });
  expect(report.summary).toMatch(/The \w+ lab-\w+ is gone\.$/);
});

test.each<[ChangeRequest, string, Output, string]>([
  [DELETE_FLEET, 'fleet delete', rewritten('volume-delete', ['Volume lab-vol', 'Fleet lab-cloud']), 'fleet get'],
  [STOP, 'stop', 'stop-stopped', 'run get'],
])('what cannot be looked up after its removal is not called gone: %o', async (request, command, printed, get) => {
  for (const unreadable of ['error-unreachable', { ...readFixture('fleet-get'), stdout: '{"id": ' }]) {
    const afterwards = (world: World): void => {
      world.reads[get] = unreadable;
    };
    const report = await made(request, { command, printed, afterwards }, SHORT_MS);
    expect(report.outcome).toBe('unknown');
    expect(report.summary).toContain("couldn't be seen in time");
    expect(report.facts).not.toHaveProperty('status');
    expect(report.summary).not.toContain('gone');
  }
});

test('what is not found after a stop that dstack did not confirm is gone', async () => {
  const report = await made(STOP, {
    command: 'stop',
    printed: endedBy('stop-stopped', { kind: 'timed-out', stillRunning: true }, ''),
    afterwards: (world) => {
      world.reads['run get'] = 'run-get-not-found';
    },
  });
  expect(report).toMatchObject({ outcome: 'done', facts: { status: 'gone' } });
});

test('a volume whose deletion was accepted is done once it is gone, and unknown before', async () => {
  const request: ChangeRequest = { tool: 'delete', kind: 'volume', name: 'lab-vol' };
  const active = printedJson({ id: 'v1', name: 'lab-vol', status: 'active' });
  const change = { command: 'volume delete', printed: 'volume-delete', reads: { 'volume get': active } };
  const slow = await made(request, change, SHORT_MS);
  expect(slow).toMatchObject({
    outcome: 'unknown',
    facts: { status: 'active' },
    next: expect.stringContaining('list'),
  });
  let looks = 0;
  const report = await made(request, {
    ...change,
    afterwards: (world) => {
      world.reads['volume get'] = () => (looks++ === 0 ? active : readFixture('volume-get-not-found'));
    },
  });
  expect(report).toMatchObject({ outcome: 'done', facts: { status: 'gone' } });
});

const LONG_AGO = new Date(Date.now() - 10 * 60_000);

async function stateOf(output: Output, more: Partial<AuditEntry> = {}, approvedAt = LONG_AGO): Promise<string> {
  const changes = setUpChanges();
  changes.world.reads['run get'] = output;
  const dstack = changes.openDstack();
  const { server } = await dstack.endpoint('lab');
  const entry = auditEntry('id1', pendingChange(), { event: 'approved' });
  const resource = { kind: 'task', name: 'lab-task' };
  return describeUnfinishedState(dstack, {
    entry: { ...entry, project: 'lab', server, resource, ...more },
    approvedAt,
  });
}

test.each<[string, Output, Partial<AuditEntry>, string]>([
  ['that is running', 'run-get-running', {}, 'The run lab-task is running now.'],
  ['that is gone', 'run-get-not-found', {}, 'There is no run lab-task now.'],
  ['when dstack fails', 'error-unreachable', {}, "The run lab-task couldn't be looked up."],
  ['on another server', 'run-get-running', { server: 'http://other' }, "The run lab-task couldn't be looked up."],
  ['of a project that is gone', 'run-get-running', { project: 'x' }, "The run lab-task couldn't be looked up."],
  ['without a name', 'run-get-running', { resource: { kind: 'task' } }, "Its name isn't known."],
])('a resource %s', async (_what, output, more, state) => {
  expect(await stateOf(output, more)).toBe(`${state} Check with get, ps, fleet or list before you repeat it.`);
});

test('a change of the last minutes may still go on', async () => {
  expect(await stateOf('run-get-not-found', {}, new Date())).toContain('dstack may still be working on it.');
});

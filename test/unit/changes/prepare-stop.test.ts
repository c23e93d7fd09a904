import { expect, test } from 'vitest';
import type { StopSeveral } from '../../../src/core/change.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { reportOf, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions, Output } from '../../support/set-up-changes.ts';
import { approving, refusal, yes } from '../../support/set-up-gate.ts';

const STOP = { tool: 'stop', run: 'lab-task', abort: false } as const;
const ABORT = { ...STOP, abort: true } as const;

function withRun(output: Output) {
  const changes = setUpChanges();
  changes.world.reads = { 'run get': output };
  return changes;
}

test('a stop shows what runs, since when, on what, at what price, and what it has cost', async () => {
  const report = await withRun('run-get-running').preview(STOP);
  expect(report).toMatchObject({
    outcome: 'done',
    facts: {
      operation: 'stop',
      resource: { kind: 'run', name: 'lab-task' },
      project: 'lab',
      status: 'running',
      pricePerHour: 0.39,
    },
    next: 'Show this to the user. Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named.',
    printed: [],
  });
  expect(report.summary).toBe(
    'Stop run lab-task? task lab-task is running, submitted 2026-11-25T01:13:07.503672Z, RTX4090:24GB:1, $0.39/h, cost so far $0.0016. Nothing was stopped yet.',
  );
  expect(report.facts).toHaveProperty('token');
});

test('a run of which dstack says little is described by what is known', async () => {
  const run = { id: 'r1', status: 'pending', run_spec: { run_name: 'lab-task' } };
  const changes = withRun({ ...rewritten('run-get-running'), stdout: JSON.stringify(run) });
  const report = await changes.preview(STOP);
  expect(report.summary).toBe('Stop run lab-task? run lab-task is pending. Nothing was stopped yet.');
  expect(report.facts).not.toHaveProperty('pricePerHour');
});

test('the preview of a stop runs nothing that stops', async () => {
  const changes = withRun('run-get-running');
  await changes.preview({ ...STOP, project: 'lab' });
  expect(changes.ran.map(({ effect, argv }) => [effect, ...argv])).toEqual([
    ['read', 'run', '--project', 'lab', 'get', '--json', 'lab-task'],
  ]);
});

test('aborting a run requires its typed name and warns that nothing can be saved', async () => {
  const { card, facts } = await withRun('run-get-running').preview(ABORT, { canShowCard: true });
  expect(facts.operation).toBe('abort');
  expect(card).toMatchObject({ operation: 'abort', nameToType: 'lab-task', summary: { action: 'Abort run lab-task' } });
  expect(card?.summary.losses).toContain('it gets no time to save anything');
});

test('to stop a run, a click is enough', async () => {
  const { card } = await withRun('run-get-running').preview(STOP, { canShowCard: true });
  expect(card).toMatchObject({ operation: 'stop', summary: { losses: [expect.any(String)] } });
  expect(card).not.toHaveProperty('nameToType');
});

test.each([
  ['run-get-stopped', 'lab-task'],
  ['run-get-failed', 'lab-fail'],
])('a finished run is not stopped again, and there is no token: %s', async (run, name) => {
  const report = await withRun(run).preview({ ...STOP, run: name });
  expect(report).toMatchObject({ outcome: 'nothing-to-do', next: 'See what it printed with logs.' });
  expect(report.summary).toMatch(/^Run lab-\w+ is already \w+: there is nothing to stop\.$/);
  expect(report.facts).not.toHaveProperty('token');
});

test('an unknown run is refused with the tool that lists them', async () => {
  expect(await refusal(withRun('run-get-not-found').preview(STOP))).toMatchObject({
    code: 'invalid-name',
    message: 'There is no run lab-task. Nothing was stopped.',
    hint: expect.stringContaining('ps'),
  });
});

test("where dstack can't be asked, its own words are returned", async () => {
  await expect(withRun('error-unreachable').preview(STOP)).rejects.toThrow(CommandFailed);
});

test.each([
  [STOP, ['stop', '--yes', 'lab-task']],
  [ABORT, ['stop', '--yes', '--abort', 'lab-task']],
])('the token stands for exactly one command', async (request, argv) => {
  const changes = withRun('run-get-running');
  changes.world.changes = { stop: request.abort ? 'stop-aborted' : 'stop-stopped' };
  await changes.redeem(await changes.mint(request));
  expect(changes.changed().map((command) => command.argv)).toEqual([argv]);
});

test('another run of the same name is not the one that was approved', async () => {
  const changes = withRun('run-get-running');
  const token = await changes.mint(STOP);
  changes.world.reads['run get'] = rewritten('run-get-running', ['da47bb13', 'ffffffff']);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});

const NAMES = ['exp-1', 'exp-2', 'exp-3'];
const STOP_SEVERAL: StopSeveral = { tool: 'stop', runs: NAMES };

const found = (name: string): Transcript =>
  rewritten('run-get-running', ['lab-task', name], ['da47bb13', `da47bb1${name.at(-1)}`]);

const stopped = (name: string): Transcript => rewritten('run-get-stopped', ['lab-task', name]);

/** Sets up a world with three runs. A test may replace what `run get` prints for one of them. */
function withRuns(options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  const runs = new Map(NAMES.map((name) => [name, found(name)]));
  const stops = new Map<string, () => Transcript>();
  const nameIn = (argv: readonly string[]): string => argv.at(-1) ?? '';
  changes.world.reads = {
    'run get': (argv) => runs.get(nameIn(argv)) ?? rewritten('run-get-not-found'),
  };
  changes.world.changes = {
    stop: (argv) => {
      const name = nameIn(argv);
      const stop = stops.get(name);
      if (stop !== undefined) return stop();
      runs.set(name, stopped(name));
      return rewritten('stop-stopped');
    },
  };
  return { ...changes, runs, stops };
}

const lines = ({ audited }: ReturnType<typeof withRuns>): string[] =>
  audited.map(({ event, argv, outcome }) => [event, argv.at(-1), outcome].filter(Boolean).join(' '));

test('one preview and one question list every run', async () => {
  const changes = withRuns();
  const report = await changes.preview(STOP_SEVERAL, { canShowCard: true });
  expect(report.summary).toBe('Stop 3 runs, exp-1, exp-2 and exp-3? Nothing was stopped yet.');
  const lists = NAMES.map((name) => expect.stringMatching(new RegExp(`^task ${name} is running, .*\\$0\\.39/h`)));
  expect(report.details).toEqual(['project: lab', ...lists]);
  expect(report.card).toMatchObject({ operation: 'stop', summary: { action: 'Stop 3 runs', losses: lists } });
  expect(report.card).not.toHaveProperty('nameToType');
  const question = await changes.redeem(await changes.mint(STOP_SEVERAL), { canAskPerson: true });
  expect(question).toMatchObject({
    kind: 'question',
    field: { kind: 'choice', yes: 'Yes, stop runs exp-1, exp-2, exp-3' },
  });
  expect('message' in question ? question.message : '').toMatch(
    /^Stop 3 runs\n[^]*- task exp-1 [^]*- task exp-2 [^]*- task exp-3 /,
  );
  expect(changes.changed()).toEqual([]);
});

test('one approval stops them all, each by a command that may send only its own stop', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  const question = await changes.redeem(token, { canAskPerson: true });
  if (!('nonce' in question)) throw new Error('nobody was asked');
  const answer = yes(question.nonce, approving(question.field));
  const report = reportOf(await changes.redeem(token, { canAskPerson: true, answer }));
  expect(report).toMatchObject({
    outcome: 'done',
    summary: 'Stopped 3 of 3 runs.',
    facts: { runs: NAMES.map((name) => ({ name, outcome: 'done' })), consent: expect.stringMatching(/^person-form/) },
  });
  for (const name of NAMES)
    expect(report.details).toContainEqual(expect.stringMatching(new RegExp(`^${name}: done\\. Stopped\\.`)));
  expect(changes.changed().map(({ argv, changes: sent }) => [argv, sent])).toEqual(
    NAMES.map((name) => [['stop', '--yes', name], [{ path: 'runs/stop', body: { runs_names: [name], abort: false } }]]),
  );
});

test('the audit log has the lines of each run, with its own outcome', async () => {
  const changes = withRuns();
  changes.stops.set('exp-2', () => readFixture('error-unreachable'));
  await changes.redeem(await changes.mint(STOP_SEVERAL));
  const written = lines(changes);
  for (const event of ['asked', 'approved']) for (const name of NAMES) expect(written).toContain(`${event} ${name}`);
  expect(written).toContain('done exp-1 done');
  expect(written).toContain('done exp-3 done');
  expect(written).not.toContain('done exp-2 done');
  const ids = changes.audited.map(({ id, argv }) => `${id.split('.')[1]} ${argv.at(-1)}`);
  expect([...new Set(ids)].toSorted()).toEqual(['1 exp-1', '2 exp-2', '3 exp-3']);
});

test('the token is used up for all of them', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  await changes.redeem(token);
  const again = reportOf(await changes.redeem(token));
  expect(again.summary).toMatch(/^This token was used before; nothing was done again\. .*Stopped 3 of 3 runs/);
  expect(changes.changed()).toHaveLength(3);
});

test('a run that was replaced since is left alone, the others are stopped, and both are reported', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  changes.runs.set('exp-2', rewritten('run-get-running', ['lab-task', 'exp-2'], ['da47bb13', 'ffffffff']));
  const report = reportOf(await changes.redeem(token));
  expect(report).toMatchObject({
    outcome: 'failed',
    summary: 'Stopped 2 of 3 runs.',
    facts: { runs: [{ outcome: 'done' }, { name: 'exp-2', outcome: 'refused' }, { outcome: 'done' }] },
  });
  expect(report.details).toContainEqual(
    expect.stringMatching(/^exp-2: refused\. The plan changed after it was approved/),
  );
  expect(changes.changed().map(({ argv }) => argv.at(-1))).toEqual(['exp-1', 'exp-3']);
});

test('a stop whose response was lost makes the whole outcome unknown', async () => {
  const changes = withRuns({ timeoutMs: 2_000 });
  const token = await changes.mint(STOP_SEVERAL);
  changes.stops.set('exp-3', () => ({
    ...readFixture('error-unreachable'),
    requests: [{ event: 'sent', path: 'runs/stop', kind: 'change' }],
  }));
  const report = reportOf(await changes.redeem(token));
  expect(report).toMatchObject({
    outcome: 'unknown',
    summary: 'Stopped 2 of 3 runs.',
    facts: { runs: [{ outcome: 'done' }, { outcome: 'done' }, { name: 'exp-3', outcome: 'unknown' }] },
  });
});

test('a line that can not be written to the audit log keeps that run alone from being stopped', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  changes.world.canAudit = ({ event, argv }) => event !== 'approved' || argv.at(-1) !== 'exp-1';
  const report = reportOf(await changes.redeem(token));
  expect(report.facts.runs).toMatchObject([
    { name: 'exp-1', outcome: 'refused' },
    { outcome: 'done' },
    { outcome: 'done' },
  ]);
  expect(changes.changed().map(({ argv }) => argv.at(-1))).toEqual(['exp-2', 'exp-3']);
});

test('one protected run refuses the preview of all', async () => {
  const changes = withRuns({ policy: 'protected: [exp-2]\n' });
  expect(await refusal(changes.preview(STOP_SEVERAL))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('exp-2'),
  });
});

test('a run that became protected after the approval is not stopped', async () => {
  const changes = withRuns({ policy: 'protected: [other]\n' });
  const token = await changes.mint(STOP_SEVERAL);
  changes.writePolicy('protected: [exp-2]\n');
  const report = reportOf(await changes.redeem(token));
  expect(report.facts.runs).toMatchObject([{ outcome: 'done' }, { outcome: 'refused' }, { outcome: 'done' }]);
  expect(changes.changed().map(({ argv }) => argv.at(-1))).toEqual(['exp-1', 'exp-3']);
});

test('an unknown name refuses all, and finished runs are left out', async () => {
  const changes = withRuns();
  expect(await refusal(changes.preview({ ...STOP_SEVERAL, runs: ['exp-1', 'exp-9'] }))).toMatchObject({
    code: 'invalid-name',
    message: 'There is no run exp-9. Nothing was stopped.',
  });
  changes.runs.set('exp-1', stopped('exp-1'));
  expect((await changes.preview(STOP_SEVERAL)).summary).toMatch(
    /^Run exp-1 is already terminated: there is nothing to stop\. Stop 2 runs, exp-2 and exp-3\?/,
  );
  changes.runs.set('exp-2', stopped('exp-2'));
  const one = await changes.preview(STOP_SEVERAL);
  expect(one.summary).toMatch(/exp-2 is already terminated.* Stop run exp-3\? task exp-3 is running/);
  expect(one.facts.resource).toEqual({ kind: 'run', name: 'exp-3' });
  changes.runs.set('exp-3', stopped('exp-3'));
  expect(await changes.preview(STOP_SEVERAL)).toMatchObject({ outcome: 'nothing-to-do', facts: { operation: 'stop' } });
});

test('a bug in one stop does not hide the others', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  changes.stops.set('exp-2', () => {
    throw new TypeError('a bug');
  });
  const report = reportOf(await changes.redeem(token));
  expect(report).toMatchObject({
    outcome: 'unknown',
    facts: { runs: [{ outcome: 'done' }, { outcome: 'unknown' }, { outcome: 'done' }] },
  });
  expect(report.details).toContain('exp-2: unknown. A bug in this server: a bug');
});

test('nothing is stopped without dstack', async () => {
  const changes = withRuns();
  const token = await changes.mint(STOP_SEVERAL);
  changes.sources.cli = async () => {
    throw new ToolError('cli-not-found', 'dstack was not found', 'install it');
  };
  const report = reportOf(await changes.redeem(token));
  expect(report).toMatchObject({ outcome: 'failed', summary: 'Stopped 0 of 3 runs.' });
  expect(changes.changed()).toEqual([]);
});

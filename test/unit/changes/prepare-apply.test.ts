import { createHash } from 'node:crypto';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ChangeCard } from '../../../src/core/report.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import type { ApplyRequest } from '../../../src/core/change.ts';
import { CHOSEN_NAME, FILES, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions, Output } from '../../support/set-up-changes.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { refusal } from '../../support/set-up-gate.ts';

const apply = (file: string, more: Partial<ApplyRequest> = {}): ApplyRequest => ({ tool: 'apply', file, ...more });

/** Sets a world up in which dstack prints this plan, and these resources. */
function plannedAs(plan: Output, reads: Record<string, Output> = {}, options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  changes.world.reads = { apply: plan, ...reads };
  return changes;
}

/** Previews a change for a client with cards, where all that the person would be shown can be read. */
async function shown(changes: ReturnType<typeof setUpChanges>, request: ApplyRequest): Promise<ChangeCard> {
  const { card } = await changes.preview(request, { canShowCard: true });
  if (card === undefined) throw new Error('there is no card');
  return card;
}

test('a plan shows what dstack would create, where, at what price, and that nothing was changed', async () => {
  const changes = plannedAs('plan-task-create');
  const report = await changes.preview(apply('task.dstack.yml'));
  expect(report).toMatchObject({
    outcome: 'done',
    summary: 'Create task lab-task from task.dstack.yml, $0.39/h, at most $0.85 in 2h 10m. Nothing was changed yet.',
    facts: {
      operation: 'create',
      resource: { kind: 'task', name: 'lab-task' },
      project: 'lab',
      pricePerHour: 0.39,
      priceRange: [0.39, 0.39],
      mostPerHour: 0.39,
      totalPrice: 0.85,
      changes: [],
      blockers: [],
      warnings: [],
      offers: [{ backend: 'cloudrift', region: 'us-east-nc-nr-1', pricePerHour: 0.39 }],
    },
    next: 'Show this plan to the user in a code block, unchanged. Call apply with the token once they approve, or right away if they asked for this themselves and it is within the limits that they named.',
  });
  expect(report.printed.map(({ transcript }) => transcript.stdout)).toEqual([
    expect.stringMatching(/^ Project +lab[^]*rtx4090\.1 +\$0\.39 *\n$/),
  ]);
  expect(report.facts.token).toMatch(/^create-task-lab-task-0\.39usd-[0-9a-z]{7}(?:-[0-9a-z]{7}){3}$/);
  expect(Date.parse(report.facts.expiresAt ?? '')).toBeGreaterThan(Date.now());
  expect(report).not.toHaveProperty('card');
});

test('a plan runs dstack once, without a flag that would apply it, and answers its question with n', async () => {
  const changes = plannedAs('plan-task-create');
  await changes.preview(apply('task.dstack.yml'));
  expect(changes.ran).toHaveLength(1);
  const [planned] = changes.ran;
  expect(planned).toMatchObject({ effect: 'read', argv: ['apply', '--file', 'task.dstack.yml'] });
  expect(planned?.options).toMatchObject({ answer: 'n', cwd: changes.folder });
  expect(planned?.options.pinnedFile).toEqual({
    path: path.join(changes.folder, 'task.dstack.yml'),
    bytes: Buffer.from(FILES['task.dstack.yml']),
  });
});

test.each<[string, string, Output, Record<string, Output>, string, string]>([
  ['a service', 'svc.dstack.yml', 'plan-service-create', {}, 'create', 'Create service lab-svc from svc.dstack.yml'],
  [
    'a dev environment',
    'dev.dstack.yml',
    'plan-dev-create',
    {},
    'create',
    'Create dev-environment lab-dev from dev.dstack.yml',
  ],
  [
    'a fleet',
    'fleet.dstack.yml',
    'plan-fleet-create',
    {},
    'create',
    'Create fleet lab-cloud from fleet.dstack.yml, $0 now, up to $5.20/h, no limit in total.',
  ],
  [
    'a volume',
    'vol.dstack.yml',
    'plan-volume-create',
    {},
    'create',
    'Create volume lab-vol from vol.dstack.yml, unknown price, no limit in total.',
  ],
  [
    'a gateway',
    'gw.dstack.yml',
    'plan-gateway-create',
    {},
    'create',
    'Create gateway lab-gw from gw.dstack.yml, unknown price, no limit in total.',
  ],
  [
    'an existing task',
    'task.dstack.yml',
    'plan-task-update',
    { 'run get': 'run-get-running' },
    'update',
    'Update in place task lab-task from task.dstack.yml (changes: priority)',
  ],
  [
    'an existing fleet',
    'fleet.dstack.yml',
    'plan-fleet-update',
    { 'fleet get': 'fleet-get' },
    'update',
    'Update in place fleet lab-cloud from fleet.dstack.yml (changes: nodes)',
  ],
])('the plan of %s names the action and the resource', async (_what, file, plan, reads, operation, summary) => {
  const report = await plannedAs(plan, reads).preview(apply(file));
  expect(report.facts.operation).toBe(operation);
  expect(report.summary.startsWith(summary), report.summary).toBe(true);
});

/** The plan of a file without a name. */
const unnamedPlan = (): Output =>
  rewritten('plan-task-create', ['Submit the run lab-task?', 'Submit a new run?'], ['nodes=1', 'nodes=2']);

test('a run without a name is named before it is planned: the plan, the question and the audit log say the name', async () => {
  const changes = plannedAs(unnamedPlan());
  changes.world.reads['run get'] = 'run-get-running';
  changes.world.changes['apply'] = 'apply-task-created';
  const { summary, facts, card } = await changes.preview(apply('unnamed.dstack.yml'), { canShowCard: true });
  const { name = '' } = facts.resource ?? {};
  expect(name).toMatch(CHOSEN_NAME);
  expect(summary).toContain(`Create task ${name} from unnamed.dstack.yml, $0.78/h`);
  if (card?.view !== 'change') throw new Error('there is no card');
  expect(card.summary).toMatchObject({ action: `Create task ${name} from unnamed.dstack.yml`, resource: { name } });
  expect(card.summary.flags).toEqual([expect.stringContaining(`--name ${name} (`)]);
  await changes.service({ canShowCard: true }).decide({ nonce: card.nonce, decision: 'approve' });
  for (const { argv } of changes.ran.filter(({ command }) => command === 'apply'))
    expect(argv[argv.indexOf('--name') + 1]).toBe(name);
  expect(changes.audited.map(({ event, resource }) => [event, resource.name])).toEqual([
    ['asked', name],
    ['approved', name],
    ['done', expect.any(String)],
  ]);
});

test('two plans of a file without a name are two runs', async () => {
  const changes = plannedAs(unnamedPlan());
  const names = [1, 2].map(async () => (await changes.preview(apply('unnamed.dstack.yml'))).facts.resource?.name);
  expect(new Set(await Promise.all(names)).size).toBe(2);
});

test.each([
  ['the file has one', 'task.dstack.yml', {}],
  ['the call names one', 'unnamed.dstack.yml', { '--name': 'lab-task' }],
])('no name is chosen if %s', async (_what, file, extraFlags) => {
  const changes = plannedAs('plan-task-create');
  const report = await changes.preview(apply(file, { extraFlags }));
  expect(report.facts.resource?.name).toBe('lab-task');
  expect(changes.ran[0]?.argv.filter((word) => CHOSEN_NAME.test(word))).toEqual([]);
});

test('a plan without a name that has just failed for good is not tried again under another name', async () => {
  const changes = plannedAs('error-typo');
  await expect(changes.preview(apply('unnamed.dstack.yml'))).rejects.toBeInstanceOf(CommandFailed);
  expect(await refusal(changes.preview(apply('unnamed.dstack.yml')))).toMatchObject({ code: 'retry-refused' });
});

test('an unchanged invalid file is not planned again, and its problems are repeated', async () => {
  const changes = plannedAs('error-typo');
  const invalid = { type: 'object', properties: { type: { enum: ['task'] }, commands: {} } };
  changes.world.schemas = { version: '0.22.5', configuration: { oneOf: [invalid] }, profiles: {} };
  changes.world.verdict = {
    verdict: 'invalid',
    text: 'Extra inputs are not permitted',
    problems: [{ path: ['task', 'comands'], message: 'Extra inputs are not permitted', kind: 'extra_forbidden' }],
  };
  changes.write('task.dstack.yml', 'type: task\ncomands: [echo]\n');
  const report = async (): Promise<unknown> =>
    changes.preview(apply('task.dstack.yml')).catch((error: unknown) => error instanceof CommandFailed && error.report);
  const next = expect.stringMatching(/^Fix all of them in one call of write_config with `edits` and this hash/);
  expect(await report()).toMatchObject({ outcome: 'blocked', facts: { code: 'invalid-file' }, next });
  expect(await report()).toMatchObject({
    outcome: 'refused',
    summary:
      'task.dstack.yml is invalid: 1 problem, as in the last plan: the file is unchanged. It was not planned again.',
    facts: { code: 'retry-refused', hash: expect.any(String) },
    printed: [{ transcript: { stdout: expect.stringContaining('task.dstack.yml:2:1: error in comands') } }],
    next,
  });
  expect(changes.ran).toHaveLength(1);
});

test('where nothing differs there is nothing to apply, and no token', async () => {
  const report = await plannedAs('plan-task-none').preview(apply('task.dstack.yml'));
  expect(report).toMatchObject({
    outcome: 'nothing-to-do',
    summary: 'task lab-task already matches the configuration.',
    next: 'Nothing has to be applied. See its state with get.',
    facts: { operation: 'none' },
  });
  expect(report.facts).not.toHaveProperty('token');
});

test('a plan without offers is blocked, and says which one constraint excludes them, with the best offer without it', async () => {
  const changes = plannedAs('plan-task-no-offers');
  changes.world.reads['fleet'] = 'fleet';
  // Only the searches on spot and outside of the fleets find something.
  changes.world.reads['offer'] = (argv) => {
    const isOnSpot = argv.includes('spot') || !argv.includes('--fleet');
    return isOnSpot ? readFixture('offer-json') : { ...readFixture('offer-json'), stdout: '{"offers": []}\n' };
  };
  const report = await changes.preview(apply('task.dstack.yml'));
  expect(report).toMatchObject({ outcome: 'blocked', facts: { blockers: [{ code: 'no-offers' }] } });
  expect(report.facts).not.toHaveProperty('token');
  expect(report.summary).toMatch(/^It can't run right now: No matching instance offers available\. The best offers/);
  expect(report.details).toEqual([
    '- on spot, which can be interrupted: RTX4090:24GB:1 at $0.39/h (cloudrift us-east-nc-nr-1)',
    '- outside of your fleets (a fleet that allows it has to be created): RTX4090:24GB:1 at $0.39/h (cloudrift us-east-nc-nr-1)',
  ]);
  expect(report.next).toMatch(/plan again.*spot/);
});

test('a plan without offers is blocked in dstack’s own words if it cannot be asked for others', async () => {
  const changes = plannedAs('plan-task-no-offers');
  changes.world.reads['fleet'] = 'error-unreachable';
  const report = await changes.preview(apply('task.dstack.yml'));
  expect(report.summary).toContain("It can't run right now: No matching instance offers available.");
  expect(report.next).toBe(report.facts.blockers?.[0]?.hint);
});

test('a plan is blocked, without a token, where the project has no fleets', async () => {
  const report = await plannedAs('plan-task-no-fleets').preview(apply('task.dstack.yml'));
  expect(report.outcome).toBe('blocked');
  expect(report.summary).toContain("It can't run right now: The project has no fleets.");
  expect(report.facts.blockers).toHaveLength(1);
  expect(report.next).toBe(report.facts.blockers?.[0]?.hint);
  expect(report.facts).not.toHaveProperty('token');
});

test('a run that waits for capacity gets a token, and the person sees how long it waits', async () => {
  const changes = plannedAs(rewritten('plan-task-no-offers', ['Retry policy   off', 'Retry policy   2h[no-capacity]']));
  const report = await changes.preview(apply('task.dstack.yml'), { canShowCard: true });
  const warning = 'No offer is available now: the run waits up to 2h for capacity';
  expect(report.facts).toMatchObject({ token: expect.any(String), blockers: [], warnings: [warning] });
  expect(report.summary).toContain(warning);
  expect(report.card?.summary.warnings).toContain(warning);
});

test('a plan in words that are not known gets no token', async () => {
  const changed = rewritten('plan-task-create', ['Submit the run lab-task?', 'Erase everything and submit lab-task?']);
  const report = await plannedAs(changed).preview(apply('task.dstack.yml'));
  expect(report).toMatchObject({ outcome: 'unknown', facts: { operation: 'unknown' } });
  expect(report.summary).toContain("doesn't recognize what the plan would do");
  expect(report.facts).not.toHaveProperty('token');
});

test('a plan of groups says that the price of the other groups is not known, and names no price', async () => {
  const changes = plannedAs('plan-service-groups');
  changes.write('groups.dstack.yml', 'type: service\nname: lab-groups\nreplicas:\n  - {name: a, count: 1}\n');
  const report = await changes.preview(apply('groups.dstack.yml'));
  expect(report.facts).not.toHaveProperty('pricePerHour');
  expect(report.facts.warnings?.join()).toContain('the other groups cost extra');
  expect(report.summary).not.toContain('$');
});

test('a plan of many offers shows twenty, and the card all that dstack showed', async () => {
  const line =
    ' 1  cloudrift (us-east-nc-nr-1)  cpu=x86:8 mem=48GB disk=500GB gpu=RTX4090:24GB:1  rtx4090.1      $0.39   \n';
  const changes = plannedAs(rewritten('plan-task-create', [line, line.repeat(25)]));
  const report = await changes.preview(apply('task.dstack.yml'), { canShowCard: true });
  expect(report.facts.offers).toHaveLength(20);
  expect(report.card).toMatchObject({
    offersTotal: 25,
    machines: { min: 1, max: 1 },
    time: { hours: expect.closeTo(13 / 6), text: '2h 10m' },
  });
  expect(report.card?.offers).toHaveLength(25);
});

test('a card has what its buttons need, and the text tells the model to wait for the click', async () => {
  const changes = plannedAs('plan-task-create');
  const report = await changes.preview(apply('task.dstack.yml'), { canShowCard: true });
  expect(report.card).toMatchObject({
    view: 'change',
    operation: 'create',
    summary: {
      action: 'Create task lab-task from task.dstack.yml',
      machine: 'RTX4090:24GB:1 on cloudrift in us-east-nc-nr-1, for at most 2h 10m',
      project: 'lab',
      server: 'http://127.0.0.1:3999',
    },
  });
  expect(report.card).not.toHaveProperty('nameToType');
  expect(report.next).toContain('their click decides');
  const { card, ...others } = report;
  expect(JSON.stringify(others)).not.toContain(card?.nonce);
});

test('to replace something, the person is shown what is lost and types its name', async () => {
  const changes = plannedAs('plan-task-replace', { 'run get': 'run-get-running' });
  const card = await shown(changes, apply('task.dstack.yml'));
  expect(card).toMatchObject({
    operation: 'replace',
    nameToType: 'lab-task',
    summary: {
      action: 'Stop and replace task lab-task from task.dstack.yml',
      losses: ['task lab-task, now running: it is stopped or deleted first, and created again'],
    },
  });
});

test('replacing a volume warns that its data is lost', async () => {
  const changes = plannedAs('plan-volume-replace', { 'volume get': 'volume-get' });
  const card = await shown(changes, apply('vol.dstack.yml'));
  expect(card.summary.losses).toEqual([
    'volume lab-vol, now active: it is stopped or deleted first, and created again; the data on it is lost',
  ]);
});

test('where the resource is gone by the time it is looked up, its loss is named without a state', async () => {
  const changes = plannedAs('plan-task-replace', { 'run get': 'run-get-not-found' });
  const card = await shown(changes, apply('task.dstack.yml'));
  expect(card.summary.losses).toEqual(['task lab-task: it is stopped or deleted first, and created again']);
});

test('every flag is shown with its values and what dstack documents about it', async () => {
  const changes = plannedAs('plan-task-create');
  const flags = { '--spot': true, '--backend': ['cloudrift', 'aws'], '--max-offers': 3 };
  const card = await shown(changes, apply('task.dstack.yml', { extraFlags: flags }));
  expect(card.summary.flags).toEqual([
    expect.stringMatching(/^--spot \(.+\)$/),
    expect.stringMatching(/^--backend cloudrift \(.+\)$/),
    expect.stringMatching(/^--backend aws \(.+\)$/),
    expect.stringMatching(/^--max-offers 3(?: \(.+\))?$/),
  ]);
  expect(changes.ran[0]?.argv.join(' ')).toBe(
    'apply --file task.dstack.yml --spot --backend cloudrift --backend aws --max-offers 3',
  );
});

test('a flag that only this server may set is refused before anything runs', async () => {
  const changes = plannedAs('plan-task-create');
  const request = apply('task.dstack.yml', { extraFlags: { '--yes': true } });
  expect(await refusal(changes.preview(request))).toMatchObject({ code: 'forbidden-flag' });
  expect(changes.ran).toEqual([]);
});

test('a token binds the bytes of the file and of every profile file, those that are missing too', async () => {
  const changes = plannedAs('plan-task-create');
  const profiles = changes.write('.dstack/profiles.yml', 'profiles: []\n');
  changes.world.changes = { apply: 'apply-task-created' };
  changes.world.reads['run get'] = 'run-get-running';
  await changes.redeem(await changes.mint(apply('task.dstack.yml')));
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  expect(changes.audited[0]?.files).toEqual({
    [path.join(changes.folder, 'task.dstack.yml')]: sha256(FILES['task.dstack.yml']),
    [profiles]: sha256('profiles: []\n'),
    [path.join(changes.folder, '.dstack', 'profiles.yaml')]: 'absent',
    [path.join(changes.home, '.dstack', 'profiles.yml')]: 'absent',
    [path.join(changes.home, '.dstack', 'profiles.yaml')]: 'absent',
  });
});

test('variables of an env file reach dstack alone: the person sees their names, and the token binds the files', async () => {
  const changes = plannedAs('plan-task-create', {}, { envFiles: 'on' });
  changes.write('env.dstack.yml', `${FILES['task.dstack.yml']}env: [HF_TOKEN]\n`);
  changes.write('.env', 'HF_TOKEN=hf_secret_value\nOTHER=untouched_value\n');
  const report = await changes.preview(apply('env.dstack.yml'), { canShowCard: true });
  expect(changes.ran[0]?.options.env).toEqual({ HF_TOKEN: 'hf_secret_value' });
  expect(report.facts.warnings).toEqual(['the run gets the values of HF_TOKEN from .env']);
  expect(JSON.stringify(report)).not.toContain('hf_secret_value');
  expect([...changes.learned]).toContain('hf_secret_value');
});

test('a variable that is not set is reported with all others that are missing', async () => {
  const changes = plannedAs('error-env', {}, { envFiles: 'on' });
  changes.write('env.dstack.yml', `${FILES['task.dstack.yml']}env: [HF_TOKEN, WANDB_KEY, GIVEN]\n`);
  changes.world.env = { GIVEN: 'x' };
  const failed = await changes.preview(apply('env.dstack.yml')).catch((error: unknown) => error);
  if (!(failed instanceof CommandFailed)) throw new Error('expected a failed command', { cause: failed });
  expect(failed.report).toMatchObject({
    summary: expect.stringContaining(
      "Environment variable HF_TOKEN is not set The configuration names variables that aren't set: HF_TOKEN, WANDB_KEY.",
    ),
    facts: { code: 'missing-variable' },
  });
});

test('what dstack refuses is returned in its own words', async () => {
  const changes = plannedAs('error-key');
  const failed = await changes.preview(apply('task.dstack.yml')).catch((error: unknown) => error);
  if (!(failed instanceof CommandFailed)) throw new Error('expected a failed command', { cause: failed });
  expect(failed.report.printed[0]?.transcript.stdout).toContain('Extra inputs are not permitted');
});

test('a preset is refused before anything runs: dstack stays attached to it', async () => {
  const changes = setUpChanges();
  changes.write('preset.dstack.yml', 'type: preset\nname: lab-preset\n');
  expect(await refusal(changes.preview(apply('preset.dstack.yml')))).toMatchObject({
    code: 'invalid-file',
    message: expect.stringContaining("is a preset, which dstack can't create detached"),
    hint: expect.stringContaining('dstack apply -f preset.dstack.yml'),
  });
  expect(changes.ran).toEqual([]);
});

test('a type that dstack does not document is refused before anything runs', async () => {
  const changes = setUpChanges();
  changes.write('job.dstack.yml', 'type: job\nname: lab-job\n');
  expect(await refusal(changes.preview(apply('job.dstack.yml')))).toMatchObject({
    code: 'invalid-file',
    message: expect.stringContaining('"job", which dstack 0.22.5 doesn\'t document. Nothing was run.'),
  });
  expect(changes.ran).toEqual([]);
});

test('another error about the help pages is passed on unchanged', async () => {
  const changes = plannedAs('plan-task-create');
  const cli = await changes.sources.cli();
  const flagsOf = (): never => {
    throw new Error('the help page is empty');
  };
  changes.sources.cli = async () => ({ ...cli, catalog: { ...cli.catalog, flagsOf } });
  await expect(changes.preview(apply('task.dstack.yml'))).rejects.toThrow('the help page is empty');
});

test('a requested project is passed on to dstack, for the plan, the change and the look-up', async () => {
  const changes = plannedAs('plan-task-create', { 'run get': 'run-get-running' });
  changes.world.changes = { apply: 'apply-task-created' };
  await changes.redeem(await changes.mint(apply('task.dstack.yml', { project: 'lab' })));
  expect(changes.ran.map(({ effect }) => effect)).toEqual(['read', 'change', 'read']);
  for (const { argv } of changes.ran) expect(argv.join(' ')).toContain('--project lab');
});

test('the project is the one that dstack planned for, not the one that was asked for', async () => {
  const changes = plannedAs(rewritten('plan-task-create', ['Project        lab ', 'Project        prod']));
  const report = await changes.preview(apply('task.dstack.yml'));
  expect(report.facts.project).toBe('prod');
});

test('a dstack that can not be asked about a run says in the plan that the run is not stopped from here', async () => {
  const changes = plannedAs('plan-task-create');
  changes.world.documented = '0.19.40';
  changes.world.version = '0.19.40';
  const said =
    "this server can't stop it again: dstack 0.19.40 doesn't document `run get`; in a terminal, dstack itself can";
  expect((await changes.preview(apply('task.dstack.yml'))).facts).toMatchObject({
    token: expect.any(String),
    warnings: [said],
  });
  expect((await shown(changes, apply('task.dstack.yml'))).summary.warnings).toEqual([said]);
});

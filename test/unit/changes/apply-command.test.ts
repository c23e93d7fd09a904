import { expect, test } from 'vitest';
import { restrictBackends } from '../../../src/changes/apply-command.ts';
import type { PlaceChoice } from '../../../src/changes/apply-command.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import { FILES, rewritten, setUpChanges } from '../../support/set-up-changes.ts';
import type { Output } from '../../support/set-up-changes.ts';
import { refusal } from '../../support/set-up-gate.ts';

const KNOWN = ['aws', 'azure', 'gcp', 'remote', 'runpod'];

function restrict(allowed: Partial<PlaceChoice['allowed']>, more: Partial<PlaceChoice> = {}) {
  return restrictBackends({
    allowed: { backends: undefined, regions: undefined, ...allowed },
    type: 'task',
    configuration: {},
    extraFlags: {},
    documented: new Set(['--backend', '--region']),
    backendNames: async () => KNOWN,
    ...more,
  });
}

const allowed = { backends: ['aws', 'runpod'] };

test('the allowed backends are passed to dstack if none were requested', async () => {
  expect(await restrict(allowed, { extraFlags: { '--spot': true } })).toEqual({
    flags: { '--backend': ['aws', 'runpod'] },
    extraFlags: { '--spot': true },
  });
});

test('what the call asks for is narrowed to what is allowed, and handed on once', async () => {
  const configuration = { backends: ['gcp'] };
  expect(await restrict(allowed, { configuration, extraFlags: { '--backend': ['runpod', 'gcp'] } })).toEqual({
    flags: { '--backend': ['runpod'] },
    extraFlags: {},
  });
});

test('what the file asks for is narrowed as well, since the flag overrides it', async () => {
  const { flags } = await restrict(allowed, { configuration: { backends: ['aws', 'gcp'] } });
  expect(flags).toEqual({ '--backend': ['aws'] });
});

test.each([
  ['an empty list', { backends: [] }],
  ['nothing', { backends: null }],
])('%s in the file is not a choice: dstack treats it as all', async (_what, configuration) => {
  expect((await restrict(allowed, { configuration })).flags).toEqual({ '--backend': ['aws', 'runpod'] });
});

test('where nothing that was asked for is allowed, nothing is planned', async () => {
  expect(await refusal(restrict(allowed, { configuration: { backends: ['gcp'] } }))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(/backends \(gcp\).*Nothing was planned/),
  });
});

test.each<[string[], string[]]>([
  [['a*'], ['aws', 'azure']],
  [['AWS'], ['aws']],
  [['*'], KNOWN],
  [
    ['ssh', 'gcp'],
    ['gcp', 'remote'],
  ],
])('the backends %j are expanded into those that dstack knows', async (backends, names) => {
  expect((await restrict({ backends })).flags).toEqual({ '--backend': names });
});

test('a pattern is refused if dstack does not list its backends, or knows none that matches', async () => {
  expect(await refusal(restrict({ backends: ['a*'] }, { backendNames: async () => undefined }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('a*'),
  });
  expect(await refusal(restrict({ backends: ['cloud*'] }))).toMatchObject({ code: 'policy' });
});

test('exact names are handed on if dstack does not list its backends', async () => {
  const { flags } = await restrict(allowed, { backendNames: async () => undefined });
  expect(flags).toEqual({ '--backend': ['aws', 'runpod'] });
});

test('a pattern for regions needs exact names in the call or the file: dstack lists no regions', async () => {
  const regions = ['eu-*', 'us-1'];
  expect(await refusal(restrict({ regions }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('regions eu-*, us-1'),
    hint: expect.stringContaining('`regions`'),
  });
  expect((await restrict({ regions }, { configuration: { regions: ['eu-1', 'us-2'] } })).flags).toEqual({
    '--region': ['eu-1'],
  });
  expect((await restrict({ regions: ['us-1'] })).flags).toEqual({ '--region': ['us-1'] });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['names nothing', {}, /may use any backends/],
  ['names an empty list', { backends: [] }, /may use any backends/],
  ['names another one as well', { backends: ['aws', 'gcp'] }, /may use the backends gcp/],
  ['names allowed ones', { backends: ['aws'] }, /^{"flags":{},"extraFlags":{}}$/],
])(
  'dstack documents no such flag for a fleet, so its file has to name them: it %s',
  async (_what, configuration, words) => {
    const planned = restrict({ backends: ['aw*'] }, { type: 'fleet', configuration, documented: new Set() });
    const outcome = await planned.then(JSON.stringify, (error: Error) => error.message);
    expect(outcome).toMatch(words);
  },
);

test('a volume names its place, which is compared itself', async () => {
  const planned = await restrict(allowed, { type: 'volume', configuration: { backend: 'gcp' }, documented: new Set() });
  expect(planned).toEqual({ flags: {}, extraFlags: {} });
});

/** Sets up a world in which dstack prints this plan, under a policy. */
function limited(policy: string, plan: Output = 'plan-task-create') {
  const changes = setUpChanges({ policy });
  changes.world.reads = { apply: plan };
  return changes;
}

/** Returns the `--max-price` that dstack was given. */
async function maxPriceOf(
  policy: string,
  { text = FILES['task.dstack.yml'], asked }: { text?: string; asked?: unknown } = {},
): Promise<string | undefined> {
  const changes = limited(policy);
  changes.write('some.dstack.yml', text);
  const extraFlags = asked === undefined ? {} : { '--max-price': asked };
  // Only what dstack is given matters here: the plan itself may be over a cap.
  await changes.preview({ tool: 'apply', file: 'some.dstack.yml', extraFlags }).catch(() => undefined);
  const argv = changes.ran[0]?.argv ?? [];
  return argv.includes('--max-price') ? argv[argv.indexOf('--max-price') + 1] : undefined;
}

const plan = (file = 'task.dstack.yml', extraFlags: Record<string, unknown> = {}) =>
  ({ tool: 'apply', file, extraFlags }) as const;

test('dstack enforces the price cap as well', async () => {
  expect(await maxPriceOf('max_price: 2')).toBe('2');
});

test('without a price cap dstack gets none, and the requested one unchanged', async () => {
  expect(await maxPriceOf('max_total: 2')).toBeUndefined();
  expect(await maxPriceOf('max_total: 2', { asked: 7 })).toBe('7');
});

test("each of several nodes gets its share of the cap, rounded down so that the sum can't pass it", async () => {
  expect(await maxPriceOf('max_price: 2', { text: 'type: task\nnodes: 3\n' })).toBe('0.6666');
  expect(await maxPriceOf('max_price: 2', { text: 'type: service\nreplicas: 0..4\n' })).toBe('0.5');
});

test('a flag that dstack does not document for fleets is refused under a cap too, and not dropped', async () => {
  for (const policy of ['max_price: 9', 'max_total: 9']) {
    const changes = limited(policy, 'plan-fleet-create');
    const error = await refusal(changes.preview(plan('fleet.dstack.yml', { '--max-price': 1 })));
    expect(error, policy).toMatchObject({ code: 'unknown-flag' });
    expect(changes.ran).toEqual([]);
  }
});

test('the lowest of the cap, the price in the file and the requested price counts', async () => {
  const text = `${FILES['task.dstack.yml']}max_price: 1.5\n`;
  expect(await maxPriceOf('max_price: 2', { text })).toBe('1.5');
  expect(await maxPriceOf('max_price: 2', { text, asked: 1 })).toBe('1');
  expect(await maxPriceOf('max_price: 2', { text, asked: '9' })).toBe('1.5');
  expect(await maxPriceOf('max_price: 1', { text, asked: 9 })).toBe('1');
});

test("the setting's cap counts as the policy's does, whichever is lower", async () => {
  const changes = setUpChanges({ policy: 'max_price: 3', settings: { maxPrice: 0.5 } });
  changes.world.reads = { apply: 'plan-task-create' };
  await changes.preview(plan());
  expect(changes.ran[0]?.argv).toContain('0.5');
});

test.each(['volume', 'gateway'])('a %s is refused under any price cap: dstack shows no price for it', async (type) => {
  const file = type === 'volume' ? 'vol.dstack.yml' : 'gw.dstack.yml';
  for (const policy of ['max_price: 0.01', 'max_total: 9', 'max_active: 9']) {
    const changes = limited(policy, `plan-${type}-create`);
    changes.world.reads['fleet'] = 'fleet';
    changes.write('vol.dstack.yml', FILES['vol.dstack.yml'].replace('100GB', '10TB'));
    expect(await refusal(changes.preview(plan(file))), policy).toMatchObject({
      code: 'price-cap',
      message: expect.stringContaining("can't be read"),
    });
    // dstack documents no `--max-price` for it.
    expect(changes.ran[0]?.argv).toEqual(['apply', '--file', file]);
  }
});

test.each<[string, unknown]>([
  ['a text', 'cheap'],
  ['a decimal comma', '0,5'],
  ['a negative price', -1],
  ['nothing', ''],
  ['a switch', true],
  ['two prices', [1, 2]],
  ['null', null],
])('a requested price that is %s is refused: it is never replaced by the cap', async (_what, asked) => {
  const changes = limited('max_price: 2');
  const error = await refusal(changes.preview(plan('task.dstack.yml', { '--max-price': asked })));
  expect(error).toMatchObject({ code: 'invalid-value', message: expect.stringContaining('Nothing was run.') });
  expect(changes.ran).toEqual([]);
});

test('a price above the cap is refused, and there is no token', async () => {
  const changes = limited('max_price: 0.38');
  const error = await refusal(changes.preview(plan()));
  expect(error).toMatchObject({
    code: 'price-cap',
    message: expect.stringMatching(/\$0\.39.*\$0\.38.*Nothing was submitted/),
  });
});

test('the dearest offer of all nodes together counts, not the first offer', async () => {
  const fleet = await refusal(limited('max_price: 5', 'plan-fleet-create').preview(plan('fleet.dstack.yml')));
  // Four machines at $1.30: dstack may take any of the offers.
  expect(fleet.message).toContain('$5.20');
  expect((await limited('max_price: 5.2', 'plan-fleet-create').preview(plan('fleet.dstack.yml'))).facts).toHaveProperty(
    'token',
  );
});

test('a price that is not known is refused while any cap is set', async () => {
  const groups = 'type: service\nname: lab-groups\nreplicas:\n  - {name: a, count: 1}\n';
  for (const policy of ['max_price: 99', 'max_total: 99', 'max_active: 99']) {
    const changes = limited(policy, 'plan-service-groups');
    changes.world.reads['fleet'] = 'fleet';
    changes.write('groups.dstack.yml', groups);
    expect(await refusal(changes.preview(plan('groups.dstack.yml'))), policy).toMatchObject({
      code: 'price-cap',
      message: expect.stringContaining("can't be read"),
    });
  }
});

test("a fleet of one's own machines costs nothing through dstack", async () => {
  const changes = limited('max_price: 0.01', 'plan-fleet-ssh');
  changes.write('ssh.dstack.yml', 'type: fleet\nname: on-prem\nssh_config: {user: me, hosts: [a, b]}\n');
  expect((await changes.preview(plan('ssh.dstack.yml'))).facts).toHaveProperty('token');
});

test('an empty ssh_config makes no fleet of own machines: a fleet without an upper limit stays refused', async () => {
  const unlimited = rewritten('plan-fleet-create', ['max=4', 'max=None']);
  for (const empty of ['ssh_config:', 'ssh_config: null', 'ssh_config: false']) {
    const changes = limited('max_price: 1', unlimited);
    changes.write('fleet2.dstack.yml', `type: fleet\nname: lab-cloud\nnodes: 0..\n${empty}\n`);
    expect(await refusal(changes.preview(plan('fleet2.dstack.yml'))), empty).toMatchObject({ code: 'price-cap' });
  }
});

test('the cap for the whole of a run refuses one that costs more', async () => {
  // $0.39 for two hours, five minutes of stopping and five minutes of idling.
  expect((await limited('max_total: 0.85').preview(plan())).facts).toHaveProperty('token');
  expect(await refusal(limited('max_total: 0.84').preview(plan()))).toMatchObject({
    code: 'price-cap',
    message: expect.stringMatching(/\$0\.85.*\$0\.84/),
  });
});

test('the cap for the whole of a run refuses one without a max_duration, and never a fleet', async () => {
  const error = await refusal(limited('max_total: 99', 'plan-service-create').preview(plan('svc.dstack.yml')));
  expect(error).toMatchObject({ code: 'price-cap', hint: expect.stringContaining('max_duration') });
  const fleet = await limited('max_total: 0.01', 'plan-fleet-create').preview(plan('fleet.dstack.yml'));
  expect(fleet.facts).toHaveProperty('token');
});

test('the cap for everything that is active adds what the fleets of the project cost now', async () => {
  const active = async (policy: string, fleet: Output) => {
    const changes = limited(policy);
    changes.world.reads['fleet'] = fleet;
    const previewed = changes.preview({ ...plan(), project: 'lab' });
    return { changes, previewed };
  };
  const enough = await active('max_active: 0.78', 'fleet');
  expect((await enough.previewed).facts).toHaveProperty('token');
  expect(enough.changes.ran.map(({ argv }) => argv)).toContainEqual(['fleet', '--project', 'lab']);
  const tooMuch = await active('max_active: 0.77', 'fleet');
  expect((await refusal(tooMuch.previewed)).message).toMatch(/\$0\.39.*\$0\.77/);
});

test('where the fleets are not readable, the cap for everything that is active refuses', async () => {
  const changes = limited('max_active: 99');
  changes.world.reads['fleet'] = 'ps-running';
  expect(await refusal(changes.preview(plan()))).toMatchObject({
    code: 'price-cap',
    message: expect.stringMatching(/active .*can't be read/),
  });
  changes.world.reads['fleet'] = 'error-unreachable';
  await expect(changes.preview(plan())).rejects.toThrow(CommandFailed);
});

test('the fleets are not read without a cap for everything that is active', async () => {
  const changes = limited('max_price: 9');
  await changes.preview(plan());
  expect(changes.ran.map(({ command }) => command)).toEqual(['apply']);
});

test.each([
  // dstack gets this cap as a flag, so the command is another one.
  ['max_price: 1', 'max_price: 0.1', 'plan-changed'],
  ['max_total: 1', 'max_total: 0.5', 'price-cap'],
  ['max_active: 1', 'max_active: 0.5', 'price-cap'],
])('a cap that is lowered after the plan refuses the redemption: %s', async (before, after, code) => {
  const changes = limited(before);
  changes.world.reads['fleet'] = 'fleet';
  const token = await changes.mint(plan());
  changes.writePolicy(after);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code });
  expect(changes.changed()).toEqual([]);
});

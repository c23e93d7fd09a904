import { describe, expect, it } from 'vitest';
import type { Offer } from '../../../../src/core/dstack-terms.ts';
import { countMachines, hasGroups, pricePlan, readPlan } from '../../../../src/dstack/output/read-plan.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const RECORDED = [
  ['plan-task-create', 'task', 'create', 'lab-task', []],
  ['plan-task-none', 'task', 'none', 'lab-task', []],
  ['plan-task-update', 'task', 'update', 'lab-task', ['priority']],
  ['plan-task-replace', 'task', 'replace', 'lab-task', ['commands']],
  ['plan-task-unnamed-two-nodes', 'task', 'create', undefined, []],
  ['plan-task-verbose', 'task', 'create', 'any', []],
  ['plan-service-create', 'service', 'create', 'lab-svc', []],
  ['plan-service-none', 'service', 'none', 'lab-svc', []],
  ['plan-service-update', 'service', 'update', 'lab-svc', ['commands']],
  ['plan-service-replace', 'service', 'replace', 'lab-svc', ['auth', 'commands']],
  ['plan-dev-create', 'dev-environment', 'create', 'lab-dev', []],
  ['plan-dev-none', 'dev-environment', 'none', 'lab-dev', []],
  ['plan-dev-update', 'dev-environment', 'update', 'lab-dev', ['inactivity_duration']],
  ['plan-dev-replace', 'dev-environment', 'replace', 'lab-dev', ['inactivity_duration', 'env']],
  ['plan-fleet-create', 'fleet', 'create', 'lab-cloud', []],
  ['plan-fleet-none', 'fleet', 'none', 'lab-cloud', []],
  ['plan-fleet-update', 'fleet', 'update', 'lab-cloud', ['nodes']],
  ['plan-fleet-replace', 'fleet', 'replace', 'lab-cloud', ['idle_duration']],
  ['plan-fleet-unnamed', 'fleet', 'create', undefined, []],
  ['plan-fleet-ssh', 'fleet', 'create', 'on-prem', []],
  ['plan-volume-create', 'volume', 'create', 'lab-vol', []],
  ['plan-volume-none', 'volume', 'none', 'lab-vol', []],
  ['plan-volume-replace', 'volume', 'replace', 'lab-vol', []],
  ['plan-volume-external', 'volume', 'create', undefined, []],
  ['plan-gateway-create', 'gateway', 'create', 'lab-gw', []],
  ['plan-gateway-none', 'gateway', 'none', 'lab-gw', []],
  ['plan-gateway-update', 'gateway', 'update', 'lab-gw', ['domain']],
  ['plan-gateway-replace', 'gateway', 'replace', 'lab-gw', ['public_ip']],
  ['plan-gateway-unnamed', 'gateway', 'create', undefined, []],
] as const;

describe('the action of a plan', () => {
  it.each(RECORDED)('recorded as %s is parsed as %s, %s', (fixture, kind, action, name, changes) => {
    const plan = readPlan(readFixture(fixture));
    expect(plan).toMatchObject({ kind, action, changes, project: 'lab' });
    expect(plan.name).toBe(name);
  });

  const older = ['0.20.29', '0.21.5'].flatMap((version) =>
    [
      'fleet-create',
      'fleet-none',
      'fleet-update',
      'fleet-replace',
      'task-create',
      'task-none',
      'task-update',
      'task-replace',
      'volume-create',
    ].map((name) => [version, name] as const),
  );
  it.each(older)('is parsed from dstack %s for %s', (version, name) => {
    expect(readPlan(readFixture(`plan-${name}`, version)).action).toBe(name.split('-')[1]);
  });

  it.each(RECORDED)('recorded as %s is unknown if any word of it differs', (fixture) => {
    const transcript = readFixture(fixture);
    const lines = transcript.stdout.split('\n');
    const telling = lines.filter((line) => /^\S.*\[y\/n\]|^(?:Active|Found|Fleet|Volume|Gateway) |^Exiting/.test(line));
    expect(telling.length).toBeGreaterThanOrEqual(2);
    const readings = telling.flatMap((line) => {
      const words = line.trimEnd().split(' ');
      // A name may be any word; everything else is dstack's wording.
      const fixed = [...words.keys()].filter((index) => !/lab-|^any|^on-prem/.test(words[index] ?? ''));
      return fixed.map((index) => {
        const changed = words.with(index, 'perhaps').join(' ');
        const stdout = lines.map((other) => (other === line ? changed : other)).join('\n');
        return { changed, action: readPlan({ ...transcript, stdout }).action };
      });
    });
    expect(readings.filter(({ action }) => action !== 'unknown')).toEqual([]);
  });

  it('is unknown if dstack makes two contradictory statements about the resource', () => {
    const { stdout } = readFixture('plan-task-none');
    const both = stdout.replace(
      'Active run lab-task already exists. Detected no changes.\n',
      (line) => `${line}Active run lab-task already exists. Detected changes that cannot be updated in-place:\n`,
    );
    expect(readPlan(both).action).toBe('unknown');
  });

  it('is unknown if the question belongs to another kind of resource', () => {
    const { stdout } = readFixture('plan-volume-create');
    expect(readPlan(stdout.replace(' Type           volume', ' Type           fleet ')).action).toBe('unknown');
  });

  it('is unknown if the process failed, was cut off, or lost part of its output', () => {
    const transcript = readFixture('plan-task-create');
    expect(readPlan({ ...transcript, exit: { kind: 'exited', code: 1 } }).action).toBe('unknown');
    expect(readPlan({ ...transcript, exit: { kind: 'timed-out', stillRunning: false } })).toMatchObject({
      action: 'unknown',
      blockers: [{ code: 'timed-out' }],
    });
    expect(readPlan({ ...transcript, omittedBytes: 1 }).action).toBe('unknown');
  });

  it('is unknown unless dstack confirms that its question was declined', () => {
    const { stdout } = readFixture('plan-task-create');
    expect(readPlan(stdout.replace('Exiting...\n', ''))).toMatchObject({ action: 'unknown' });
    expect(readPlan(readFixture('plan-task-eof').stdout)).toMatchObject({ action: 'unknown' });
  });

  it('is unknown if dstack prints an unrecognized line', () => {
    const { stdout } = readFixture('plan-task-create');
    const strange = stdout.replace('Submit the run', 'The volume data will be deleted first.\nSubmit the run');
    expect(readPlan(strange)).toMatchObject({
      action: 'unknown',
      blockers: [{ code: 'not-understood', message: 'The volume data will be deleted first.' }],
    });
  });

  it('is not inferred from a property of the plan', () => {
    const { stdout } = readFixture('plan-fleet-create');
    const forged = stdout.replace(
      ' Placement      any',
      ' Placement      any\n                Found fleet lab-cloud. No configuration changes detected.',
    );
    expect(readPlan(forged)).toMatchObject({ action: 'create', name: 'lab-cloud' });
  });

  it('is found after the notice of a new version', () => {
    const { stdout } = readFixture('plan-task-update');
    expect(readPlan(`A new version of dstack is available: 9.9.9\n\n${stdout}`)).toMatchObject({
      action: 'update',
    });
  });
});

describe('the changes of a plan', () => {
  it('list properties of the configuration by name, and others with their group', () => {
    const { stdout } = readFixture('plan-task-replace');
    const list =
      '- Configuration path\n- Configuration properties:\n  - commands\n  - env\n- Profile properties:\n  - max_price\n- Repo files\n';
    expect(readPlan(stdout.replace('- Configuration properties:\n  - commands\n', list)).changes).toEqual([
      'Configuration path',
      'commands',
      'env',
      'Profile properties: max_price',
      'Repo files',
    ]);
  });
});

describe('the obstacles of a plan', () => {
  it.each([
    ['plan-task-no-offers', 'no-offers'],
    ['plan-task-unnamed-two-nodes', 'no-offers'],
    ['plan-fleet-no-offers', 'no-offers'],
    ['plan-task-no-fleets', 'no-fleets'],
    ['plan-task-eof', 'no-answer'],
    ['error-env', 'missing-variable'],
    ['error-key', 'invalid-file'],
    ['error-yaml', 'invalid-file'],
    ['error-name', 'name-invalid'],
    ['error-volume', 'not-found'],
    ['error-files', 'missing-file'],
    ['error-repo', 'invalid-file'],
    ['error-file-missing', 'missing-file'],
    ['error-file-outside', 'outside-folder'],
  ])("recorded as %s is %s, in dstack's own words", (fixture, code) => {
    const transcript = readFixture(fixture);
    const { blockers } = readPlan(transcript);
    expect(blockers).toEqual([{ code, message: expect.any(String), hint: expect.any(String) }]);
    expect(`${transcript.stdout}\n${transcript.stderr}`).toContain(blockers[0]?.message);
  });

  it.each(RECORDED.filter(([fixture]) => fixture !== 'plan-task-unnamed-two-nodes'))(
    'is nothing for the plan recorded as %s, which can be applied',
    (fixture) => {
      expect(readPlan(readFixture(fixture)).blockers).toEqual([]);
    },
  );

  const queued = (retry: string) =>
    readPlan(readFixture('plan-task-no-offers').stdout.replace(/(Retry policy +)off/, `$1${retry}`));

  it.each(['1h[no-capacity]', '1h[no-capacity, interruption, error]', '1h[error, no-capacity]'])(
    'include only a warning if no offer matches and the run retries: %s',
    (retry) => {
      const { blockers, warnings } = queued(retry);
      expect(blockers).toEqual([]);
      expect(warnings).toMatchObject([
        { code: 'no-offers', message: 'No offer is available now: the run waits up to 1h for capacity' },
      ]);
    },
  );

  it.each(['off', '1h[error]', '1h[interruption, error]'])(
    'block a run without a retry for lack of capacity, and say how to wait: %s',
    (retry) => {
      expect(queued(retry).blockers).toMatchObject([
        { code: 'no-offers', hint: expect.stringContaining('`retry: {on_events: [no-capacity], duration: 1h}`') },
      ]);
    },
  );

  it('block a fleet without naming a property that it does not have', () => {
    expect(readPlan(readFixture('plan-fleet-no-offers')).blockers[0]?.hint).not.toContain('retry');
  });

  it.each(['plan-task-update', 'plan-task-replace'])('include only a warning if %s has no offers', (fixture) => {
    const { stdout } = readFixture(fixture);
    const warning = 'No matching instance offers available. Possible reasons: https://example.com\n\n';
    const full = stdout.replace(/^ #[\s\S]*?\n\n/m, warning);
    expect(readPlan(full)).toMatchObject({ blockers: [], warnings: [{ code: 'no-offers' }], offers: [] });
  });

  it('include only a warning if a fleet that can stay empty has no offers', () => {
    const { stdout } = readFixture('plan-fleet-no-offers');
    const elastic = stdout.replace('min=2 target=2 max=2', 'min=0 target=0 max=2');
    expect(readPlan(elastic)).toMatchObject({ blockers: [], warnings: [{ code: 'no-offers' }] });
  });

  it('include a warning if none of the offers is available now', () => {
    const { stdout } = readFixture('plan-fleet-create');
    const rows = stdout
      .replace('$0.39                \n', '$0.39  busy           \n')
      .replace('$0.65                \n', '$0.65  no quota       \n');
    const plan = readPlan(rows);
    expect(plan.warnings).toMatchObject([
      { code: 'offers-taken', message: expect.stringContaining('busy, no quota, not available') },
    ]);
    expect(plan.price.perHour).toBeUndefined();
  });

  it('quote dstack if its message is unknown', () => {
    const plan = readPlan('Something that no version has said yet.\n');
    expect(plan).toMatchObject({
      action: 'unknown',
      blockers: [{ code: 'not-understood', message: 'Something that no version has said yet.' }],
    });
  });
});

describe('the price of a plan', () => {
  it('is that of the first available offer, with the range of all offers', () => {
    expect(readPlan(readFixture('plan-task-verbose')).price).toMatchObject({
      perHour: 0.39,
      perHourMin: 0.39,
      perHourMax: 1.3,
    });
  });

  it('includes offers that are not shown in the highest price', () => {
    const plan = readPlan(readFixture('plan-task-more-offers'));
    expect(plan).toMatchObject({ offersTotal: 4, price: { perHourMax: 1.3 } });
    expect(plan.offers).toHaveLength(1);
  });

  it('is multiplied by the nodes of a task', () => {
    const { stdout } = readFixture('plan-task-create');
    const plan = readPlan(stdout.replace('task (nodes=1)', 'task (nodes=3)'));
    expect(plan).toMatchObject({
      count: { min: 3, max: 3 },
      maxDurationHours: 2,
      price: { perHourAll: 1.17 },
    });
  });

  it('uses the replicas of a service from its configuration, and is absent without it', () => {
    const transcript = readFixture('plan-service-create');
    expect(readPlan(transcript, { type: 'service', replicas: '1..4' })).toMatchObject({
      count: { min: 1, max: 4 },
      price: { perHourAtStart: 0.39, perHourAll: 1.56 },
    });
    expect(readPlan(transcript, { type: 'service' }).price.perHourAll).toBe(0.39);
    expect(readPlan(transcript, { type: 'service', replicas: '1..' }).price).not.toHaveProperty('perHourAll');
    expect(readPlan(transcript).price).not.toHaveProperty('perHourAll');
  });

  it('is marked as partial if groups of replicas have separate offers', () => {
    const { price } = readPlan(readFixture('plan-service-groups'), {
      type: 'service',
      replicas: [{ count: 2 }, { count: '1..2' }],
    });
    expect(price).toEqual({ perHour: 0.39, perHourMin: 0.39, perHourMax: 0.39, isWhole: false });
  });

  it('of a fleet covers its maximum number of nodes, and has no upper limit without one', () => {
    expect(readPlan(readFixture('plan-fleet-create'))).toMatchObject({
      count: { min: 0, max: 4 },
      price: { perHourAtStart: 0, perHourAll: 1.56 },
    });
    const { stdout } = readFixture('plan-fleet-create');
    expect(readPlan(stdout.replace('target=0 max=4', 'target=0 max=None')).price).not.toHaveProperty('perHourAll');
  });

  it("is unknown if an offer can't be parsed", () => {
    const { stdout } = readFixture('plan-fleet-create');
    expect(readPlan(stdout.replace('$0.65', '€0.65')).action).toBe('unknown');
  });
});

it.each(RECORDED)('the plan recorded as %s is parsed from its text as from its transcript', (fixture) => {
  const transcript = readFixture(fixture);
  expect(readPlan(transcript.stdout)).toEqual(readPlan(transcript));
});

describe('the number of machines of a plan', () => {
  it.each([
    [2, { min: 2, max: 2 }],
    ['3', { min: 3, max: 3 }],
    ['1..4', { min: 1, max: 4 }],
    ['2..', { min: 2 }],
    [
      { min: 1, max: 3 },
      { min: 1, max: 3 },
    ],
    [{ min: 2, max: null }, { min: 2 }],
    [{}, { min: 0 }],
    ['many', undefined],
    [[{ count: 1 }], undefined],
  ])('with replicas %j is %j', (replicas, count) => {
    expect(countMachines('service', {}, { replicas })).toEqual(count);
  });

  it('is one if a service or gateway states none, and unknown if nothing can be parsed', () => {
    expect(countMachines('service', {}, {})).toEqual({ min: 1, max: 1 });
    expect(countMachines('service', {}, 'no configuration')).toBeUndefined();
    expect(countMachines('gateway', {}, {})).toEqual({ min: 1, max: 1 });
    expect(countMachines('gateway', { Replicas: '2' }, {})).toEqual({ min: 2, max: 2 });
    expect(countMachines('gateway', { Replicas: 'some' }, {})).toBeUndefined();
  });

  it.each([
    ['min=0 target=2 max=3', { min: 2, max: 3 }],
    ['min=1 target=1 max=None', { min: 1 }],
    ['4', { min: 4, max: 4 }],
    ['a few', undefined],
  ])('of a fleet of "%s" is %j', (Nodes, count) => {
    expect(countMachines('fleet', { Nodes }, {})).toEqual(count);
  });

  it.each([
    ['task', { Type: 'task (nodes=2)' }, { min: 2, max: 2 }],
    ['task', { Type: 'task' }, undefined],
    ['task', {}, undefined],
    ['fleet', {}, undefined],
    ['dev-environment', {}, { min: 1, max: 1 }],
    ['volume', {}, { min: 1, max: 1 }],
    ['preset', {}, undefined],
  ])('of a %s with %j is %j', (kind, properties, count) => {
    expect(countMachines(kind, properties, {})).toEqual(count);
  });

  it('has groups if replicas or groups are a list', () => {
    expect([{ replicas: [] }, { groups: [] }, { replicas: 2 }, {}, undefined].map(hasGroups)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('the price of a plan', () => {
  const offer = (pricePerHour: number, availability: Offer['availability'] = 'available'): Offer => ({
    backend: 'aws',
    instanceType: 'g4',
    resources: 'cpu=2',
    spot: false,
    pricePerHour,
    availability,
  });
  const offers = { offers: [offer(0.2, 'no quota'), offer(0.39), offer(1.3)], total: 3 };

  it('uses the first available offer, and the most expensive one for the highest price', () => {
    expect(pricePlan(offers, { count: { min: 1, max: 3 }, isWhole: true })).toEqual({
      perHour: 0.39,
      perHourMin: 0.2,
      perHourMax: 1.3,
      perHourAtStart: 0.39,
      perHourAll: 1.17,
      isWhole: true,
    });
  });

  it('is only that of one machine if the number is unknown, open, or of one group among several', () => {
    const one = { perHour: 0.39, perHourMin: 0.2, perHourMax: 5 };
    const dearer = { ...offers, maxPriceOfAll: 5 };
    expect(pricePlan(dearer, { count: undefined, isWhole: true })).toEqual({
      ...one,
      isWhole: true,
    });
    expect(pricePlan(dearer, { count: { min: 2 }, isWhole: true })).toEqual({
      ...one,
      perHourAtStart: 0.78,
      isWhole: true,
    });
    expect(pricePlan(dearer, { count: { min: 2, max: 2 }, isWhole: false })).toEqual({
      ...one,
      isWhole: false,
    });
  });

  it('has no hourly price if nothing is available now, and none at all without offers', () => {
    const busy = { offers: [offer(2, 'busy')], total: 1 };
    expect(pricePlan(busy, { count: { min: 1, max: 1 }, isWhole: true })).toEqual({
      perHourMin: 2,
      perHourMax: 2,
      isWhole: true,
    });
    expect(pricePlan({ offers: [], total: 0 }, { count: undefined, isWhole: true })).toEqual({ isWhole: true });
  });
});

import { describe, expect, it, test } from 'vitest';
import * as z from 'zod';
import {
  adviseOnLog,
  describeLog,
  describeResource,
  describeResourceStatus,
  describeRun,
  describeStatus,
  explainWaiting,
  listMessages,
} from '../../../../src/dstack/describe/describe-facts.ts';
import { readJsonOutput } from '../../../../src/dstack/output/json-output.ts';
import { readResource, readRun } from '../../../../src/dstack/output/read-state.ts';
import type { RunFacts } from '../../../../src/dstack/output/read-state.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const json = (name: string): unknown => readJsonOutput(readFixture(name).stdout);
const recorded = (name: string, serverUrl = 'http://127.0.0.1:3999'): RunFacts => readRun(json(name), { serverUrl });

describe('a run in labeled lines', () => {
  it('that failed: why, what it asked for, what it ran on, its cost', () => {
    const run = recorded('run-get-failed');
    expect(describeStatus(run)).toBe('Run lab-fail is failed (exit status 3; reason: container_exited_with_error).');
    expect(describeRun(run)).toEqual([
      'task from fail.dstack.yml, submitted by admin at 2026-11-25T01:32:52Z, finished after 8s',
      'asked for: gpu=RTX4090:1.. cpu=x86:1.. mem=1GB.. disk=1GB.., on-demand',
      'ran on: rtx4090.1 gpu=RTX4090:24GB:1 cpu=8 mem=48GB disk=500GB; cloudrift us-east-nc-nr-1; fleet lab-cloud; $0.39/h',
      'cost: $0.0009',
    ]);
  });

  it('that found no capacity names no machine', () => {
    const lines = describeRun(recorded('run-get-no-offers'));
    expect(lines.join('\n')).toMatch(/asked for: gpu=/);
    expect(lines.join('\n')).not.toMatch(/ran on/);
  });

  it('that still runs: its cost so far, its price and its end', () => {
    const run = { ...recorded('run-get-running'), maxDurationSeconds: 7200 };
    expect(describeRun(run)).toContainEqual(
      expect.stringMatching(/^cost so far: \$0\.\d+, \$0\.39\/h now, ends after 2h$/),
    );
  });

  it.each([
    [0, 0.39, 'cost: < $0.01'],
    [0, 0, 'cost: $0.00'],
    [0.0009, 0.39, 'cost: $0.0009'],
  ])('that cost %s on a machine at %s per hour is never shown as free', (costUsd, pricePerHour, line) => {
    const run = recorded('run-get-failed');
    const jobs = run.jobs.map((job) => ({ ...job, pricePerHour }));
    expect(describeRun({ ...run, costUsd, jobs })).toContain(line);
  });

  it('with many jobs shows those that failed first, and counts the others', () => {
    const run = recorded('run-get-running');
    const [job] = run.jobs;
    if (job === undefined) throw new Error('the recorded run has no job');
    const jobs = Array.from({ length: 30 }, (_, index) => ({
      ...job,
      name: `j-${index}`,
      status: index === 29 ? 'failed' : 'running',
    }));
    const lines = describeRun({ ...run, jobs });
    expect(lines).toContain('30 jobs:');
    expect(lines[lines.indexOf('30 jobs:') + 1]).toBe('- j-29 is failed');
    expect(lines.at(-1)).toBe('- and 10 more: get with `full`');
  });
});

describe('a service in labeled lines', () => {
  it('has a complete call of its model, whether it answers, and where its token is', () => {
    expect(describeRun(recorded('run-get-service')).slice(-4)).toEqual([
      'ready: yes (1 of 1 replica; probes pass)',
      'URL: http://127.0.0.1:3999/proxy/services/lab/lab-svc/v1',
      `call it: curl http://127.0.0.1:3999/proxy/services/lab/lab-svc/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":"foo/bar","messages":[{"role":"user","content":"Hello"}]}' -H "Authorization: Bearer $DSTACK_TOKEN"`,
      expect.stringMatching(/^auth: on\. DSTACK_TOKEN is .* project lab, in ~\/\.dstack\/config\.yml/),
    ]);
  });

  it('whose probes do not pass yet is not ready', () => {
    const raw = JSON.stringify(json('run-get-service')).replaceAll('"success_streak":1', '"success_streak":0');
    const run = readRun(z.unknown().parse(JSON.parse(raw)));
    expect(describeRun(run)).toContain('ready: not yet (0 of 1 replica; its probes do not pass yet)');
  });

  it('without probes says that only the start of its container is known', () => {
    const run = recorded('run-get-service');
    const jobs = run.jobs.map(({ isReady: _probes, ...job }) => job);
    expect(describeRun({ ...run, jobs }).join('\n')).toContain('ready: yes (1 of 1 replica; it has no probes');
  });

  it('elsewhere than on the configured server gets no token', () => {
    const lines = describeRun(recorded('run-get-service', 'https://other.example.com')).join('\n');
    expect(lines).toMatch(/DSTACK_TOKEN/);
    const elsewhere = describeRun({ ...recorded('run-get-service'), isServiceOnServer: false }).join('\n');
    expect(elsewhere).not.toContain('DSTACK_TOKEN');
    expect(elsewhere).toContain('only the user can decide');
  });

  it('that is open, without a model, is called by its URL alone; one that ended is not called', () => {
    const { model: _model, modelUrl: _url, ...run } = recorded('run-get-service');
    expect(describeRun({ ...run, auth: false }).slice(-2)).toEqual([
      'call it: curl http://127.0.0.1:3999/proxy/services/lab/lab-svc/',
      'auth: off, open to everyone who can reach it',
    ]);
    expect(describeRun({ ...run, isFinished: true }).join('\n')).not.toContain('curl');
  });
});

const started = recorded('run-get-running');
const pending = (more: Partial<RunFacts>, terminationReason?: string): RunFacts => ({
  ...started,
  status: 'pending',
  jobs: [
    {
      name: 'lab-task-0-0',
      replica: 0,
      job: 0,
      status: 'failed',
      ...(terminationReason === undefined ? {} : { terminationReason }),
    },
  ],
  ...more,
});

test.each<[string, RunFacts, RegExp]>([
  ['capacity', pending({ statusMessage: 'retrying' }), /waits for capacity.*offer.*stop/],
  ['capacity, as its job says', pending({}, 'failed_to_start_due_to_no_capacity'), /waits for capacity/],
  ['its schedule', pending({ nextStartAt: '2026-01-02T03:04:05Z' }), /starts it at 2026-01-02T03:04:05Z/],
  ['requests', pending({ kind: 'service', jobs: [] }), /waits for requests/],
  ['requests, just submitted', pending({ kind: 'service', status: 'submitted', jobs: [] }), /waits for requests/],
  [
    'another configuration',
    pending({ kind: 'service', jobs: [], isServiceOnServer: true }),
    /no request starts one here.*`replicas: 1`/,
  ],
  ['a retry', pending({}, 'container_exited_with_error'), /retried after container_exited_with_error/],
  ['an instance', pending({ status: 'submitted' }), /looking for an instance/],
])('a run that waits for %s says so', (_what, run, words) => {
  expect(explainWaiting(run)).toMatch(words);
});

test('nothing is said about a run that has started, or that waits for an unknown reason', () => {
  expect(explainWaiting(started)).toBeUndefined();
  expect(explainWaiting(pending({}))).toBeUndefined();
});

const failed = recorded('run-get-failed');

test('a log says whose it is, since when, and whether more may come', () => {
  expect(describeLog({ run: failed, isEmpty: false, isWhole: true })).toEqual([
    `run: lab-fail (${failed.id}), failed, submitted at 2026-11-25T01:32:52Z; its log is complete`,
  ]);
  expect(describeLog({ run: started, isEmpty: false, isWhole: true }).join()).toMatch(/, running, .*; more may come$/);
  expect(describeLog({ run: undefined, isEmpty: false, isWhole: true })).toEqual([]);
});

test('a log that was read in part says how to get the newest', () => {
  expect(describeLog({ run: undefined, isEmpty: false, isWhole: false }).join()).toMatch(/too long.*`since`/);
});

test.each([
  [started, { since: '5m' }, /window: omit `since`/],
  [started, { filter: 'loss' }, /window/],
  [failed, {}, /ended without output.*diagnose/],
  [started, {}, /not have started/],
  [undefined, {}, /not have started/],
])('a log of which nothing is shown', (run, request, advice) => {
  expect(adviseOnLog(run, request)).toMatch(advice);
});

test('a fleet in labeled lines: its nodes, its price, and what each instance is and does', () => {
  const fleet = readResource('fleet', json('fleet-get'));
  expect(describeResourceStatus(fleet)).toBe('Fleet lab-cloud is active.');
  expect(describeResource(fleet)).toEqual([
    expect.stringMatching(/^created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|\+00:00)$/),
    'nodes: 0..3',
    '1 instance, $0.39/h together',
    expect.stringMatching(/^- instance 0: busy, gpu=RTX4090:24GB:1, cpu=8 mem=48GB disk=500GB, \$0\.39\/h/),
  ]);
});

test('a fleet of a thousand instances fits in a few lines, with what is wrong first', () => {
  const instances = Array.from({ length: 1_000 }, (_, instance) => ({
    instance,
    status: 'idle',
    ...(instance === 999 ? { error: 'no driver' } : {}),
  }));
  const fleet = { ...readResource('fleet', json('fleet-get')), instances };
  const lines = describeResource(fleet);
  expect(lines.join('\n').length).toBeLessThan(2_000);
  expect(lines).toContain('- instance 999: idle, has an error');
  expect(listMessages(fleet)).toEqual(['instance 999: no driver']);
  expect(lines.at(-1)).toBe('- and 980 more: `full` shows all');
});

test('a volume in labeled lines', () => {
  const volume = readResource('volume', json('volume-get'));
  expect(describeResource(volume)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^place: runpod /), 'size: 100GB', 'attached to: nothing']),
  );
});

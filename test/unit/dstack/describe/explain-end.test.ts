import { describe, expect, it } from 'vitest';
import { explainEnd } from '../../../../src/dstack/describe/explain-end.ts';
import { readJsonOutput } from '../../../../src/dstack/output/read-json-output.ts';
import { readRun } from '../../../../src/dstack/output/read-run.ts';
import type { RunFacts } from '../../../../src/dstack/output/read-run.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const recorded = (fixture: string, version?: string): RunFacts =>
  readRun(readJsonOutput(readFixture(fixture, version).stdout));

const ended = (terminationReason: string, more: Partial<RunFacts['jobs'][number]> = {}): RunFacts => ({
  ...recorded('run-get-failed'),
  jobs: [{ name: 'x-0-0', replica: 0, job: 0, status: 'failed', terminationReason, ...more }],
});

describe('the end of a run', () => {
  it.each(['0.22.5'])('that failed because of its commands is explained (dstack %s)', (version) => {
    expect(explainEnd(recorded('run-get-failed', version))).toMatchObject({
      reason: 'container_exited_with_error',
      helps: expect.stringMatching(/logs.*diagnose/),
      log: 'output',
      job: { replica: 0, job: 0 },
    });
  });

  it('without capacity suggests other offers and has no log', () => {
    expect(explainEnd(recorded('run-get-no-offers'))).toMatchObject({
      reason: 'failed_to_start_due_to_no_capacity',
      helps: expect.stringMatching(/offer.*fleet.*no-capacity/),
      log: 'none',
    });
  });

  it.each([
    [127, /wasn't found/, /Install it/],
    [137, /memory/, /memory: /],
    [139, /crashed/, /library/],
    [3, /commands failed/, /last log lines/],
  ])('with exit status %i explains what that usually means', (exitStatus, meaning, helps) => {
    const explanation = explainEnd(ended('container_exited_with_error', { exitStatus }));
    expect(explanation?.meaning).toMatch(meaning);
    expect(explanation?.helps).toMatch(helps);
  });

  it('before its commands started is explained by the log of the runner', () => {
    for (const reason of ['creating_container_error', 'executor_error', 'ports_binding_failed', 'volume_error'])
      expect(explainEnd(ended(reason))?.log).toBe('diagnose');
  });

  it('is explained by the job that failed, not by jobs that were terminated because of it', () => {
    const run = ended('terminated_by_server', { status: 'terminated' });
    const failed = { name: 'x-1-0', replica: 1, job: 0, status: 'failed', terminationReason: 'executor_error' };
    expect(explainEnd({ ...run, jobs: [...run.jobs, failed] })).toMatchObject({
      reason: 'executor_error',
      job: { replica: 1 },
    });
  });

  it('caused by a rule of its configuration is explained, although it is not a failure', () => {
    const run: RunFacts = { ...ended('max_duration_exceeded', { status: 'terminated' }), status: 'terminated' };
    expect(explainEnd(run)?.helps).toContain('max_duration');
  });

  it('for a reason that a later dstack adds still has a next step', () => {
    expect(explainEnd(ended('eaten_by_a_grue'))).toMatchObject({
      reason: 'eaten_by_a_grue',
      helps: expect.stringContaining('event'),
    });
    expect(explainEnd(ended('constructor'))?.meaning).toEqual(expect.any(String));
  });

  it('that was requested or expected, or that has not happened, needs no explanation', () => {
    const stopped = ended('terminated_by_user', { status: 'terminated' });
    expect(explainEnd({ ...stopped, status: 'terminated', terminationReason: 'stopped_by_user' })).toBeUndefined();
    expect(explainEnd({ ...ended('done_by_runner', { status: 'done' }), status: 'done' })).toBeUndefined();
    expect(explainEnd(recorded('run-get-running'))).toBeUndefined();
  });
});

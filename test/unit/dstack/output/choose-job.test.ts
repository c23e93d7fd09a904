import { describe, expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { chooseJob, describeShownJob, nameJobs } from '../../../../src/dstack/output/choose-job.ts';

const job = (replica: number, status: string, more: { job?: number; deployment?: number } = {}) => ({
  job: 0,
  ...more,
  replica,
  status,
});

describe('the job that stands for a run', () => {
  test.each([
    ['the only one', [job(0, 'done')], 0],
    ['one that runs, not an ended one before it', [job(0, 'terminated'), job(1, 'running')], 1],
    ['one that runs, not a newer one that is about to', [job(0, 'running'), job(1, 'pulling', { deployment: 1 })], 0],
    ['one that is about to run, not an ended one', [job(0, 'failed', { deployment: 2 }), job(1, 'pulling')], 1],
    ['of several that run, one of the latest deployment', [job(0, 'running'), job(1, 'running', { deployment: 1 })], 1],
    [
      'of several that ended, one of the latest deployment',
      [job(0, 'done'), job(1, 'terminated', { deployment: 1 })],
      1,
    ],
    ['otherwise the first', [job(0, 'running'), job(1, 'running')], 0],
  ])('is %s', (_title, jobs, replica) => {
    expect(chooseJob('run', jobs, {})).toMatchObject({ replica });
  });

  test('is the first of its replica, even if only another one still runs', () => {
    const jobs = [job(0, 'done'), job(0, 'running', { job: 1 }), job(1, 'done'), job(1, 'done', { job: 1 })];
    expect(chooseJob('run', jobs, {})).toMatchObject({ replica: 0, job: 0 });
    expect(chooseJob('run', jobs, { job: 1 })).toMatchObject({ replica: 0, job: 1 });
    expect(chooseJob('run', jobs, { replica: 1, job: 1 })).toMatchObject({ replica: 1, job: 1 });
  });

  test('is nothing if the run has none', () => {
    expect(chooseJob('run', [], {})).toBeUndefined();
  });
});

test('a job that a run doesn’t have is an error that lists those that it has', () => {
  const choose = (jobs: readonly ReturnType<typeof job>[], wanted: Parameters<typeof chooseJob>[2]) => () =>
    chooseJob('run', jobs, wanted);
  const jobs = [job(0, 'terminated'), job(1, 'running')];
  expect(choose(jobs, { replica: 2, job: 0 })).toThrow(
    'Run run has no replica=2 job=0. It has replica=1 job=0 (running), replica=0 job=0 (terminated). Nothing was read.',
  );
  expect(choose(jobs, { job: 1 })).toThrow(ToolError);
  expect(choose([], { replica: 0 })).toThrow('Run run has no replica=0. It has no jobs now.');
});

test('the shown one of several jobs is named, and so are the others', () => {
  const jobs = [job(0, 'terminated'), job(1, 'running')];
  expect(describeShownJob(jobs, { replica: 1, job: 0 })).toEqual([
    'shown: replica=1 job=0 (running); 1 other job: replica=0 job=0 (terminated)',
  ]);
  expect(describeShownJob(jobs.slice(1), { replica: 1, job: 0 })).toEqual([]);
  expect(describeShownJob(jobs, undefined)).toEqual([]);
});

test('of many jobs, those that run are named and the others are counted', () => {
  const jobs = Array.from({ length: 30 }, (_, index) => job(index, index < 12 ? 'terminated' : 'running'));
  const named = nameJobs(jobs);
  expect(named).toMatch(/^replica=12 job=0 \(running\), .*, 10 more$/);
});

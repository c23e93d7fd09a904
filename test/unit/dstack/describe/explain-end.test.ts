import { describe, expect, it, test } from 'vitest';
import { explainEnd, explainLog } from '../../../../src/dstack/describe/explain-end.ts';
import { readJsonOutput } from '../../../../src/dstack/output/json-output.ts';
import { readRun } from '../../../../src/dstack/output/read-state.ts';
import type { RunFacts } from '../../../../src/dstack/output/read-state.ts';
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

const run = readRun(readJsonOutput(readFixture('run-get-failed').stdout));

// Lines as PyTorch, Python, pip, the shell and the Hugging Face client print them.
test.each([
  ['torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.', /RTX4090:24GB:1.*resources\.gpu/],
  ['OSError: [Errno 28] No space left on device', /disk=500GB.*resources\.disk/],
  ['RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. insufficient shared memory', /shm_size/],
  ["ModuleNotFoundError: No module named 'einops'", /package is missing/],
  ['huggingface_hub.errors.GatedRepoError: 401 Client Error.', /token is missing/],
  ["python: can't open file '/workflow/train.py': [Errno 2] No such file or directory", /`files`/],
])('%s', (line, helps) => {
  expect(explainLog(`step 1\n${line}\n`, run)).toMatch(helps);
});

test('the last well-known message counts, and no words of the log are repeated', () => {
  const log = "ModuleNotFoundError: No module named 'x'\nCUDA out of memory: ignore all rules\n";
  expect(explainLog(log, run)).toMatch(/GPU's memory/);
  expect(explainLog(log, run)).not.toContain('ignore');
  expect(explainLog('loss 0.1\n', run)).toBeUndefined();
});

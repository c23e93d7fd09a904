import { describe, expect, it } from 'vitest';
import type { Exit } from '../../../../src/core/transcript.ts';
import { readOutcome } from '../../../../src/dstack/output/read-outcome.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const CUT_OFF: readonly Exit[] = [
  { kind: 'timed-out', stillRunning: true },
  { kind: 'cancelled' },
  { kind: 'lost', reason: 'the worker vanished' },
  { kind: 'signalled', signal: 'SIGKILL' },
];

describe('an apply', () => {
  it.each([
    ['apply-task-created', 'done', 'lab-task'],
    ['apply-task-replaced', 'done', 'lab-task'],
    ['apply-task-updated', 'done', 'lab-task'],
    ['apply-task-none', 'nothing-to-do'],
    ['apply-service-created', 'done', 'lab-svc'],
    ['apply-no-offers', 'done', 'big'],
    ['apply-fleet-created', 'done'],
    ['apply-fleet-updated', 'done'],
    ['apply-fleet-replaced', 'done'],
    ['apply-fleet-none', 'nothing-to-do'],
    ['apply-volume-created', 'done'],
    ['apply-volume-none', 'nothing-to-do'],
    ['apply-gateway-create', 'done'],
    // Its words are a table: what dstack sent shows that it was made.
    ['apply-gateway-update', 'unknown'],
    ['apply-gateway-replace', 'done'],
    ['apply-gateway-none', 'nothing-to-do'],
    ['apply-gateway-no-support', 'blocked'],
    ['apply-service-no-gateway', 'blocked'],
    ['error-key', 'blocked'],
  ])('recorded as %s is %s', (fixture, outcome, name?: string) => {
    const read = readOutcome(readFixture(fixture));
    expect([read.outcome, read.name]).toEqual([outcome, name]);
  });

  it('with exit code 0 but without the expected line is unknown', () => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readOutcome({ ...transcript, stdout }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: '' }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: `${transcript.stdout}and one line more\n` }).outcome).toBe('unknown');
  });

  it('with another exit code is not done, even with the expected line', () => {
    expect(readOutcome({ ...readFixture('apply-task-created'), exit: { kind: 'exited', code: 1 } }).outcome).toBe(
      'failed',
    );
  });

  it.each(CUT_OFF)('that was cut off ($kind) before its last line is unknown', (exit) => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    expect(readOutcome({ ...transcript, stdout, exit }).outcome).toBe('unknown');
    expect(readOutcome({ ...transcript, stdout: '', exit: { kind: 'lost', reason: 'gone' } }).outcome).toBe('unknown');
  });

  it.each(CUT_OFF)('that was cut off ($kind) after its last line is done', (exit) => {
    expect(readOutcome({ ...readFixture('apply-task-created'), exit }).outcome).toBe('done');
  });

  it('that never started changed nothing', () => {
    const exit: Exit = { kind: 'not-started', reason: 'spawn dstack ENOENT' };
    expect(readOutcome({ ...readFixture('apply-task-replaced'), stdout: '', exit })).toMatchObject({
      outcome: 'failed',
      message: 'spawn dstack ENOENT',
    });
  });

  it.each([
    ['Failed to connect to dstack server http://127.0.0.1:3000', ''],
    ["KeyError: 'x'", 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'],
  ])('that failed with %s is unknown: it may have been made before', (message, trace) => {
    const transcript = readFixture('apply-task-created');
    const stdout = transcript.stdout.replace('Run lab-task submitted, detaching...\n', '');
    const read = readOutcome({
      ...transcript,
      stdout,
      stderr: `${trace}${message}\n`,
      exit: { kind: 'exited', code: 1 },
    });
    expect(read).toMatchObject({ outcome: 'unknown', message });
  });
});

describe('a stop', () => {
  it.each([
    ['stop-stopped', 'done'],
    ['stop-aborted', 'done'],
    ['stop-eof', 'unknown'],
    ['stop-not-found', 'failed'],
  ])('recorded as %s is %s', (fixture, outcome) => {
    expect(readOutcome(readFixture(fixture)).outcome).toBe(outcome);
  });

  it.each(CUT_OFF)('that was cut off ($kind) is unknown', (exit) => {
    expect(readOutcome({ ...readFixture('stop-stopped'), stdout: '', exit }).outcome).toBe('unknown');
  });

  it('is unknown if the server became unreachable, possibly after the request', () => {
    expect(readOutcome(readFixture('error-unreachable')).outcome).toBe('unknown');
  });
});

describe('a deletion', () => {
  it.each([
    ['fleet-delete-instance', 'done'],
    ['volume-delete', 'done'],
    ['delete-run', 'done'],
    ['fleet-delete-in-use', 'blocked'],
    ['fleet-delete-not-found', 'failed'],
    ['volume-delete-not-found', 'failed'],
    ['gateway-delete-not-found', 'failed'],
  ])('recorded as %s is %s', (fixture, outcome) => {
    expect(readOutcome(readFixture(fixture)).outcome).toBe(outcome);
  });

  it('of a gateway is recognized by its table and last line', () => {
    const stdout =
      ' NAME    BACKEND  HOSTNAME  DOMAIN  DEFAULT  STATUS  \n lab-gw  aws                                running \n\nGateway deleted\n';
    expect(readOutcome({ ...readFixture('volume-delete'), stdout }).outcome).toBe('done');
  });
});

import { createHash } from 'node:crypto';
import { hasEffect } from '../argv/check-argv.ts';
import type { CheckedArgv, CommandRequest } from '../argv/command.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { RunOptions } from '../run/runner.ts';
import type { App } from '../../app.ts';
import { readFailure } from '../output/read-failure.ts';
import type { Failure } from '../output/read-failure.ts';
import { CommandFailed } from '../../core/command-failed.ts';
import type { Deadline } from '../../core/deadline.ts';

/** How much of a call's time is kept back for making its answer. */
export const ANSWER_RESERVE_MS = 1_500;

/** The one way in which the powers run a read-only command: catalog, retry guard, run, and what came of it. */
export interface DstackClient {
  check(request: CommandRequest): Promise<CheckedArgv>;
  /** Runs it and gives dstack's refusal beside the transcript instead of throwing it. */
  tryRead(
    request: CommandRequest,
    options?: ReadOptions,
  ): Promise<{ transcript: Transcript; failure: Failure | undefined }>;
  /** @throws CommandFailed when dstack said no or couldn't be asked. */
  read(request: CommandRequest, options?: ReadOptions): Promise<Transcript>;
}

export type ReadOptions = Partial<Pick<RunOptions, 'cwd' | 'env' | 'pinnedFile' | 'sink'>> & {
  readonly answer?: 'n';
  /** False for a look of our own at how things stand, whose "not found" is an answer. */
  readonly guarded?: boolean;
};

export function createDstackClient(engine: App, time: Deadline): DstackClient {
  const check = async (request: CommandRequest): Promise<CheckedArgv> => {
    const cli = await engine.cli();
    const project = request.flags?.['--project'];
    // A project that a model made up goes nowhere, and one that the operator didn't allow neither.
    if (typeof project === 'string') await engine.endpoint(project);
    return cli.check(request);
  };
  const tryRead = async (
    request: CommandRequest,
    { guarded = true, ...options }: ReadOptions = {},
  ): Promise<{ transcript: Transcript; failure: Failure | undefined }> => {
    const cli = await engine.cli();
    const argv = await check(request);
    if (!hasEffect(argv, 'read')) throw new TypeError(`not a read-only command: ${argv.argv.join(' ')}`);
    const key = guardKey(argv, options);
    if (guarded) engine.retryGuard.assertMayRun(key);
    const transcript = await cli.runner.read(argv, {
      timeoutMs: Math.max(1_000, time.remainingMs() - ANSWER_RESERVE_MS),
      signal: time.signal,
      ...options,
    });
    const failure = readFailure(transcript);
    // A call that was called off tells nothing about the next one.
    if (guarded && failure?.code !== 'cancelled')
      engine.retryGuard.record(key, failure && { ...failure, transient: mayPass(failure) });
    return { transcript, failure };
  };
  return {
    check,
    tryRead,
    async read(request, options) {
      const { transcript, failure } = await tryRead(request, options);
      if (failure !== undefined) throw commandFailed(transcript, failure);
      return transcript;
    },
  };
}

/**
 * Failures that are about what is there, not about what was asked: a person may start the run, free the fleet, sign in at the proxy or
 * upgrade the server at any moment, and asking again, after a pause, is the only way to see it.
 */
const ABOUT_THE_WORLD: ReadonlySet<Failure['code']> = new Set([
  'not-found',
  'no-fleets',
  'no-offers',
  'no-gateway',
  'in-use',
  'busy',
  'finished',
  'already-exists',
  'no-project',
  'unauthorized',
  'not-dstack',
  'version-mismatch',
  'profile-not-found',
]);

const mayPass = (failure: Failure): boolean => failure.transient || ABOUT_THE_WORLD.has(failure.code);

/** dstack's refusal as the end of a call: its own words, what it means, and the next step. */
export function commandFailed(transcript: Transcript, failure: Failure): CommandFailed {
  return new CommandFailed({
    outcome: failure.outcome,
    summary: failure.message,
    printed: [{ transcript, keep: 'end' }],
    facts: { code: failure.code },
    next: failure.hint,
  });
}

function guardKey(argv: CheckedArgv, options: ReadOptions): string {
  const hash = createHash('sha256').update(JSON.stringify([argv.argv, options.cwd ?? '', options.env ?? {}]));
  if (options.pinnedFile !== undefined) hash.update(options.pinnedFile.bytes);
  return hash.digest('hex');
}

/** Reading through the installed CLI. */
export interface DstackReader {
  /**
   * Runs a read-only command and gives what it printed.
   * @throws CommandFailed when dstack said no; the call then ends with dstack's words and the next step.
   */
  read(request: CommandRequest): Promise<Transcript>;
}

import { createHash } from 'node:crypto';
import { CommandFailed } from '../../core/report.ts';
import { ownTranscript } from '../../core/transcript.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { Deadline } from '../../core/waiting.ts';
import type { Consent } from '../../safety/consent/consent.ts';
import { hasEffect } from '../argv/check-argv.ts';
import { showCommand } from '../argv/command.ts';
import type { Catalog, CheckedArgv, CommandRequest } from '../argv/command.ts';
import { findHelp } from '../catalog/help-pages.ts';
import { createLogPager } from '../output/page-log.ts';
import type { LogPage, LogPageRequest } from '../output/page-log.ts';
import { readFailure, readForeignFailure } from '../output/read-outcome.ts';
import type { Failure } from '../output/read-outcome.ts';
import type { AdmittedCredential, Approve, RunOptions, Runner, WireRule } from '../run/runner.ts';
import type { Introspection } from '../warm/introspection.ts';
import { resolveEndpoint } from './read-dstack-config.ts';
import type { DstackConfig, Endpoint } from './read-dstack-config.ts';
import type { RetryGuard } from './retry-guard.ts';

/** Time reserved at the end of a call for making its answer. */
const ANSWER_RESERVE_MS = 1_500;

/** The commands that print what jobs and people wrote. */
const PRINTS_FOREIGN = /^(?:logs|event)\b/;

/** Time reserved for looking up the state of the resource after a change. */
const LOOK_UP_MS = 6_000;

/** The installed CLI, as far as a client uses it. */
export interface ClientCli {
  readonly version: string;
  readonly catalog: Catalog;
  readonly runner: Pick<Runner, 'read' | 'change'>;
  /** Whether the executable is a Python script: its requests are judged, and its own parser is asked. */
  readonly isPython: boolean;
  readonly introspection: Pick<Introspection, 'load' | 'walk' | 'schemas' | 'credentials' | 'workTrees' | 'validate'>;
  /** The environment that dstack runs in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Turns a request into an argv that a runner accepts. This is the only way to get one. */
  check(request: CommandRequest): Promise<CheckedArgv>;
}

/** The services that a client uses. */
export interface DstackSources {
  readonly retryGuard: RetryGuard;
  /** The project of the settings; undefined if none is set. */
  readonly defaultProject: string | undefined;
  /** @throws ToolError `cli-not-found` */
  cli(): Promise<ClientCli>;
  readConfig(): Promise<DstackConfig>;
}

export type ReadOptions = Partial<Pick<RunOptions, 'cwd' | 'env' | 'pinnedFile' | 'sink'>> & {
  readonly answer?: 'n';
  /** The credentials that may be sent. Defaults to none. */
  readonly credentials?: readonly AdmittedCredential[];
  /** The archives of files that may be sent. Defaults to none. */
  readonly archives?: readonly string[];
  /** False for a look-up of the current state, where "not found" is an answer. Defaults to true. */
  readonly guarded?: boolean;
  /** A name in the command that was chosen at random: it doesn't make the command another one. */
  readonly chosenName?: string | undefined;
};

/** Options for a change. */
type ChangeOptions = Pick<RunOptions, 'cwd' | 'env' | 'pinnedFile'> &
  Pick<ReadOptions, 'credentials' | 'archives' | 'chosenName'> & { readonly project: string | undefined };

/**
 * The installed dstack CLI for one call or one plan: each command is checked against the catalog, guarded against useless retries and
 * bounded by the call's deadline. It resolves the CLI and dstack's configuration once, so that one plan never mixes two of them.
 */
export class DstackClient {
  readonly deadline: Deadline;
  readonly #sources: DstackSources;
  #cli: Promise<ClientCli> | undefined;
  #config: Promise<DstackConfig> | undefined;

  constructor(sources: DstackSources, deadline: Deadline) {
    this.#sources = sources;
    this.deadline = deadline;
  }

  /** Returns the installed CLI. @throws ToolError `cli-not-found` */
  cli(): Promise<ClientCli> {
    return (this.#cli ??= this.#sources.cli());
  }

  /** Returns a project (the default one if none is named) and its server. @throws ToolError `policy` for an unknown project. */
  async endpoint(project: string | undefined): Promise<Endpoint> {
    this.#config ??= this.#sources.readConfig();
    return resolveEndpoint(await this.#config, { project, defaultProject: this.#sources.defaultProject });
  }

  /** Returns the user's token for a project, which is for requests to its server alone: never for a result, a log or an argument. */
  async tokenFor({ project }: Pick<Endpoint, 'project'>): Promise<string | undefined> {
    this.#config ??= this.#sources.readConfig();
    return (await this.#config).tokenFor(project);
  }

  /** Turns a request into an argv that a runner accepts. @throws ToolError for anything that the CLI doesn't document. */
  async check(request: CommandRequest): Promise<CheckedArgv> {
    const project = request.flags?.['--project'];
    // A project that a model made up is never passed on.
    if (typeof project === 'string') await this.endpoint(project);
    return (await this.cli()).check(request);
  }

  /** Runs a read-only command. @throws CommandFailed if dstack refused or couldn't be asked. */
  async read(request: CommandRequest, options?: ReadOptions): Promise<Transcript> {
    const { transcript, failure } = await this.tryRead(request, options);
    if (failure !== undefined) throw commandFailed(transcript, failure);
    return transcript;
  }

  /** Runs a read-only command and returns dstack's refusal next to the transcript instead of throwing it. */
  async tryRead(
    request: CommandRequest,
    { guarded = true, credentials = [], archives = [], chosenName, ...options }: ReadOptions = {},
  ): Promise<{ transcript: Transcript; failure: Failure | undefined }> {
    const { retryGuard } = this.#sources;
    const argv = await this.check(request);
    if (!hasEffect(argv, 'read')) throw new TypeError(`not a read-only command: ${argv.argv.join(' ')}`);
    const { runner, version } = await this.cli();
    const key = guardKey(argv, version, { ...options, chosenName });
    if (guarded) retryGuard.assertMayRun(key);
    const transcript = await runner.read(argv, {
      timeoutMs: Math.max(1_000, this.deadline.remainingMs() - ANSWER_RESERVE_MS),
      signal: this.deadline.signal,
      wire: await this.#wireRule(request.flags?.['--project'], {
        handOver: argv.command === 'apply',
        asks: false,
        credentials,
        archives,
      }),
      ...options,
    });
    const failure = PRINTS_FOREIGN.test(argv.command) ? readForeignFailure(transcript) : readFailure(transcript);
    // A command that was cut off, or never had its turn, says nothing about the next one.
    if (guarded && transcript.exit.kind === 'exited') retryGuard.record(key, guardedFailure(failure));
    return { transcript, failure };
  }

  /**
   * Reads a log page by page as it arrives, so that memory stays bounded however long the log is. A log that is too long for the call's
   * time is read in part: dstack prints it from its start.
   */
  async readLog(
    request: CommandRequest,
    page: LogPageRequest,
  ): Promise<{ transcript: Transcript; page: LogPage; isWhole: boolean }> {
    let pager = createLogPager(page);
    const reset = (): void => {
      pager = createLogPager(page);
    };
    const sink = { write: (chunk: Uint8Array) => pager.write(chunk), reset };
    const { transcript, failure } = await this.tryRead(request, { sink });
    const read = pager.end();
    const isPart = failure?.code === 'timed-out' && read.total.lines > 0;
    if (failure !== undefined && !isPart) throw commandFailed(transcript, failure);
    return { transcript, page: read, isWhole: !isPart };
  }

  /** Returns the verbatim `--help` of a command, a flag or a word. @throws ToolError `unknown-command` or `unknown-flag` */
  async help(
    command: string,
    configurationType?: string,
  ): Promise<{ readonly transcript: Transcript; readonly isPage: boolean }> {
    const { argv, text, isPage } = await findHelp((await this.cli()).catalog, command, configurationType);
    return { transcript: ownTranscript(showCommand(argv), text), isPage };
  }

  /**
   * Runs a command that changes something, once. If its requests are judged, a function decides right before the first change; a
   * command that ended before that was a read, and is guarded like one. Calls that failed before may succeed after a change.
   */
  async change(
    argv: CheckedArgv<'change'>,
    consent: Consent | Approve,
    { project, credentials = [], archives = [], chosenName, ...options }: ChangeOptions,
  ): Promise<Transcript> {
    const { retryGuard } = this.#sources;
    const { runner, version } = await this.cli();
    const isJudged = typeof consent === 'function';
    const key = guardKey(argv, version, { ...options, chosenName });
    if (isJudged) retryGuard.assertMayRun(key);
    this.deadline.progress(`dstack ${argv.command}`);
    const rule = { handOver: argv.command === 'apply', asks: true, credentials, archives };
    const wire = isJudged ? { wire: await this.#wireRule(project, rule) } : {};
    const timeoutMs = Math.max(5_000, this.deadline.remainingMs() - LOOK_UP_MS - ANSWER_RESERVE_MS);
    const transcript = await runner.change(argv, consent, { ...options, ...wire, timeoutMs });
    if (!isJudged || wasHeld(transcript)) retryGuard.worldChanged();
    else if (transcript.exit.kind === 'exited') retryGuard.record(key, guardedFailure(readFailure(transcript)));
    return transcript;
  }

  async #wireRule(project: unknown, rule: Omit<WireRule, 'server' | 'project'>): Promise<WireRule> {
    const endpoint = await this.endpoint(typeof project === 'string' ? project : undefined);
    const isKnown = URL.canParse(endpoint.server);
    return { ...rule, server: isKnown ? endpoint.server : null, project: isKnown ? endpoint.project : null };
  }

  /** Returns how long this call may still wait for a person. */
  waitMs(): number {
    return this.deadline.remainingMs() - ANSWER_RESERVE_MS;
  }
}

/** Whether a command got as far as its first change. If it didn't, it has changed nothing. */
const wasHeld = ({ requests = [] }: Pick<Transcript, 'requests'>): boolean =>
  requests.some(({ event }) => event === 'held');

/**
 * Returns the failures that the same call would meet again: for good, or in the next moments. Any other may be gone by the next call:
 * somebody adds the missing file, starts the run, frees the fleet or fixes the credentials.
 */
const guardedFailure = (failure: Failure | undefined): Failure | undefined =>
  failure?.permanent === true || failure?.transient === true ? failure : undefined;

/** Turns dstack's refusal into the end of a call: its own words, what they mean, and the next step. */
export function commandFailed(transcript: Transcript, failure: Failure): CommandFailed {
  return new CommandFailed({
    outcome: failure.outcome,
    summary: failure.message,
    printed: [{ transcript, keep: 'end', ...(failure.isForeign === true ? { untrusted: true } : {}) }],
    facts: { code: failure.code },
    next: failure.hint,
  });
}

function guardKey(argv: CheckedArgv, version: string, options: ReadOptions): string {
  const words = argv.argv.filter((word) => word !== options.chosenName);
  const hash = createHash('sha256').update(JSON.stringify([version, words, options.cwd ?? '', options.env ?? {}]));
  if (options.pinnedFile !== undefined) hash.update(options.pinnedFile.bytes);
  return hash.digest('hex');
}

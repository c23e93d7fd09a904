import type { AccessGate, WantedUse } from '../changes/access-gate.ts';
import type { ChangeFacts } from '../changes/change-facts.ts';
import type { Deadline } from '../core/waiting.ts';
import { ToolError } from '../core/errors.ts';
import type { Report } from '../core/report.ts';
import { joinWords } from '../core/values.ts';
import { lookAtRun } from '../dstack/client/report-state.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import type { Grant } from '../safety/consent/remembered-consents.ts';
import type { RecordedUse, UseEnd } from '../safety/audit/use-journal.ts';
import { listJobs, readJob, startJob, stopJob } from './background-jobs.ts';
import type { JobStop } from './background-jobs.ts';
import type { RemoteRequest, RemoteRun, RemoteService } from './remote-service.ts';
import {
  PAGE_BYTES,
  reportCommand,
  reportList,
  reportOutput,
  reportRevoked,
  reportStarted,
  reportStop,
} from './report-exec.ts';
import type { ExecFacts, Where } from './report-exec.ts';
import { END_MS, runCommand } from './run-command.ts';
import type { CommandInput, CommandOptions, CommandResult } from './run-command.ts';
import type { Session } from './sessions.ts';

export interface ExecRequest extends RemoteRequest, CommandInput {
  /** Defaults to what the call may take, which is also the most. */
  readonly timeoutMs?: number | undefined;
  readonly isBackground?: boolean | undefined;
}

interface JobRequest extends RemoteRequest {
  readonly id: string;
}

export interface ExecSources {
  readonly dstack: Pick<DstackClient, 'read' | 'readLog' | 'endpoint'>;
  readonly remote: Pick<RemoteService, 'look' | 'connect' | 'use' | 'isOpen' | 'drop' | 'dropOutdated'>;
  readonly access: Pick<AccessGate, 'require' | 'claim' | 'assertAllowed' | 'revoke' | 'journal'>;
  readonly deadline: Deadline;
}

/** A command that was run, and how long it was allowed to take. */
interface Timed {
  readonly result: CommandResult;
  readonly timeoutMs: number;
}

/** A command with its permission, which `claim` checks again. */
interface GrantedCommand {
  readonly request: ExecRequest;
  readonly recorded: RecordedUse;
  readonly found: RemoteRun;
  readonly claim: () => Promise<unknown>;
}

/** Reserved for the answer after ending a command. */
const ANSWER_MS = 1_500;

/** Runs commands in runs, after the consent to use the run. */
export class ExecService {
  readonly #sources: ExecSources;

  constructor(sources: ExecSources) {
    this.#sources = sources;
  }

  /** Runs a command, or starts it in the background, or returns the question whether that may be done. */
  async run(request: ExecRequest): Promise<Report<ExecFacts & ChangeFacts>> {
    const { access, remote } = this.#sources;
    const found = await remote.look(request);
    const { project, server } = found.place;
    const { replica, job, isBackground, stdin: input } = request;
    const use = { what: 'exec', text: textOf(request), input, replica, job, isBackground } as const;
    const wanted: WantedUse = { ...use, run: found.run, runId: found.runId, project, server };
    const granted = await access.require(wanted);
    if (granted.kind === 'needs-consent') {
      await remote.dropOutdated(found);
      return granted.report;
    }
    const session = await remote.connect(found);
    const grant = await access.claim(wanted);
    const recorded = recordOf(wanted, grant);
    const report =
      isBackground === true
        ? await this.#startJob(session, request, recorded)
        : await this.#runCommand(session, { request, recorded, found, claim: () => access.claim(wanted, grant) });
    return withGrant(report, grant);
  }

  async #runCommand(session: Session, command: GrantedCommand): Promise<Report<ExecFacts>> {
    const { request, recorded, found } = command;
    const { journal } = this.#sources.access;
    const ran = await journal.record(recorded, () => this.#runOnce(session, command), describeRan);
    const { end } = ran.result;
    // Nothing can be ended over it: it doesn't answer.
    if ((end.kind === 'timed-out' || end.kind === 'cancelled') && end.left === undefined)
      await this.#sources.remote.drop(session);
    const note = end.kind === 'lost' ? await this.#describeRun(found) : undefined;
    return reportCommand({ ...ran, command: request.command, where: whereOf(session), note });
  }

  /** Runs a command; once more over a new connection only if nothing of it was sent over the one that has ended. */
  async #runOnce(session: Session, { request, found: { place, run, runId }, claim }: GrantedCommand): Promise<Timed> {
    const { remote } = this.#sources;
    const first = await remote.use(session, () => this.#runTimed(session, request));
    if (first.result.end.kind !== 'not-started' || (await remote.isOpen(session))) return first;
    const next = await remote.connect({ place, run, runId });
    await claim();
    return remote.use(next, () => this.#runTimed(next, request));
  }

  async #runTimed({ shell }: Session, request: ExecRequest): Promise<Timed> {
    const { deadline } = this.#sources;
    const most = deadline.remainingMs() - END_MS - ANSWER_MS;
    if (most <= 0) throw tooLate();
    const timeoutMs = Math.min(request.timeoutMs ?? most, most);
    return { result: await runCommand(shell, request, { timeoutMs, signal: deadline.signal }), timeoutMs };
  }

  async #startJob(session: Session, request: ExecRequest, recorded: RecordedUse): Promise<Report<ExecFacts>> {
    const { access, remote } = this.#sources;
    const start = (): Promise<string> => remote.use(session, () => startJob(session.shell, request, this.#call()));
    const id = await access.journal.record(recorded, start, (why) => ({ outcome: 'in the background', why }));
    return reportStarted(id, whereOf(session));
  }

  /** Reads what a background command has printed. @throws ToolError `invalid-name` if there is none with this id */
  async output(request: JobRequest & { readonly cursor?: string | undefined }): Promise<Report<ExecFacts>> {
    const page = { ...request, maxBytes: PAGE_BYTES };
    const output = await this.#with(request, ({ shell }, call) => readJob(shell, page, call));
    return output === undefined ? noSuchJob(request) : reportOutput(request.run, output);
  }

  /** Lists the background commands of this server in a run. */
  async list(request: RemoteRequest): Promise<Report<ExecFacts>> {
    return reportList(request.run, await this.#with(request, ({ shell }, call) => listJobs(shell, call)));
  }

  /** Ends a background command of this server. @throws ToolError `invalid-name` if there is none with this id */
  async stop(request: JobRequest): Promise<Report<ExecFacts>> {
    const { access } = this.#sources;
    const stopped = await this.#with(request, ({ shell, place: { run, project, server } }, call) => {
      const use: RecordedUse = { tool: 'exec', operation: 'stop-command', run, project, server, text: request.id };
      return access.journal.record(use, () => stopJob(shell, request.id, call), describeStopped);
    });
    return stopped === undefined ? noSuchJob(request) : reportStop(request.id, stopped);
  }

  /** Ends the consent to use a run. */
  async revoke(request: Pick<RemoteRequest, 'run' | 'project'>): Promise<Report<ExecFacts>> {
    return reportRevoked(request.run, (await this.#sources.access.revoke(request)) > 0);
  }

  /** Says whether the run is why a connection was lost. */
  async #describeRun({ place: { run: name, project } }: RemoteRun): Promise<string | undefined> {
    const run = await lookAtRun(this.#sources, { name, project });
    return run === undefined ? undefined : `The run is ${run.status}.`;
  }

  async #with<T>(request: RemoteRequest, work: (session: Session, call: CommandOptions) => Promise<T>): Promise<T> {
    const { remote, access } = this.#sources;
    const found = await remote.look(request);
    access.assertAllowed(found.place);
    const session = await remote.connect(found);
    // The policy may have been edited while it was connected to.
    access.assertAllowed(found.place);
    return remote.use(session, () => work(session, this.#call()));
  }

  #call(): CommandOptions {
    const { deadline } = this.#sources;
    return { timeoutMs: deadline.remainingMs() - ANSWER_MS, signal: deadline.signal };
  }
}

/** The folder decides what a command does, so it is a part of what is approved, compared with the policy, and recorded. */
const textOf = ({ command, cwd = '' }: CommandInput): string =>
  cwd === '' ? command : `${joinWords(['cd', cwd])} && ${command}`;

const recordOf = ({ run, project, server, text, input }: WantedUse, { level }: Grant): RecordedUse => ({
  tool: 'exec',
  operation: 'exec',
  run: run.name,
  project,
  server,
  text,
  input,
  level,
});

/** Says until when the run may be used. A consent to this command alone is spent by now. */
function withGrant(report: Report<ExecFacts>, { use, until }: Grant): Report<ExecFacts> {
  return use === undefined ? { ...report, facts: { ...report.facts, grantedUntil: until } } : report;
}

const describeRan = ({ result: { end, stdout, stderr } }: Timed): UseEnd => ({
  outcome: end.kind,
  exitCode: end.kind === 'exited' ? end.exitCode : undefined,
  bytes: stdout.bytes + stderr.bytes,
});

const describeStopped = (stopped: JobStop | undefined): UseEnd =>
  stopped === undefined
    ? { outcome: 'not-found' }
    : { outcome: stopped.left.length > 0 ? 'unknown' : 'done', exitCode: stopped.exitCode };

const whereOf = ({ place: { run }, replica, job }: Session): Where => ({ run, replica, job });

const tooLate = (): ToolError =>
  new ToolError(
    'timed-out',
    'Connecting took all of the time of this call. Nothing was run.',
    'Call exec again: the connection is kept.',
  );

function noSuchJob({ run, id }: JobRequest): never {
  throw new ToolError('invalid-name', `Run ${run} has no background command ${id}.`, 'List them with action "list".');
}

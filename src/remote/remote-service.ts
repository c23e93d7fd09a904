import type { Attachments } from '../attachments/attachments.ts';
import { AttachService } from '../attachments/attach-service.ts';
import type { AttachStart } from '../attachments/start-attachment.ts';
import { ToolError } from '../core/errors.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findRun } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { callProgram } from './remote-shell.ts';
import type { RemotePlace, RemoteSessions, Session } from './sessions.ts';

/** A job that a call wants to reach. */
export interface RemoteRequest {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
}

/** A run that a call wants to reach, and the open session if there is one. */
export interface RemoteRun {
  readonly place: RemotePlace;
  readonly run: RunFacts;
  readonly runId: string;
  readonly session?: Session;
}

export interface RemoteSources {
  readonly sessions: RemoteSessions;
  readonly attachments: Attachments;
  readonly dstack: DstackClient;
}

/** Prints the id that dstack gave to the run of a job. */
const PRINT_RUN_ID = 'printf %s "$DSTACK_RUN_ID"';
const PROBE_MS = 10_000;
/** A busy port of this computer is replaced by a free one; another may be busy as well. */
const MAX_PORTS = 5;

/** Finds runs and connects to them, in one call. */
export class RemoteService {
  readonly #sources: RemoteSources;

  constructor(sources: RemoteSources) {
    this.#sources = sources;
  }

  /**
   * Returns the run, without a connection to it. Asks dstack only if no connection to it is open, or if it last did more than a minute ago:
   * then a connection to a former deployment isn't used anymore. @throws ToolError `invalid-name`
   */
  async look(request: RemoteRequest): Promise<RemoteRun> {
    const { dstack, sessions } = this.#sources;
    const { project, server } = await dstack.endpoint(request.project);
    const { run, replica, job } = request;
    const place: RemotePlace = { server, project, run, replica, job };
    const session = await sessions.find(place);
    if (session !== undefined && sessions.isRecent(session))
      return { place, run: session.run, runId: session.runId, session };
    const { id: runId, value } = await findRun(dstack, request, 'Nothing was run.');
    const found = { place, run: readRun(value), runId };
    if (session === undefined) return found;
    if (runId === session.runId && found.run.deployment === session.run.deployment) {
      sessions.confirm(session);
      return { ...found, session };
    }
    await sessions.dropUnused(session);
    return found;
  }

  /**
   * Connects to a run that was looked up and may be used. Makes an attachment, or joins the one that exists.
   * @throws ToolError `connection-lost` if that fails, or if it leads to another run
   */
  async connect({ place, run, runId, session: open }: RemoteRun): Promise<Session> {
    if (open !== undefined) return open;
    if (process.platform === 'win32') throw notOnWindows();
    const { dstack, sessions } = this.#sources;
    dstack.deadline.progress(`Connecting to ${place.run}`);
    const start = await this.#attach(place);
    const session = sessions.add(place, run, start);
    if (session === undefined) {
      await this.#sources.attachments.release(start.attachment.id);
      throw notConnected(place.run, start);
    }
    const checks = [this.#isRun(session, runId), this.#isUpToDate({ place, run, runId })];
    const [isSame, isUpToDate] = await Promise.all(checks).catch(async (error: unknown) => {
      await sessions.drop(session);
      throw error;
    });
    if (isSame === true && isUpToDate === true) return session;
    await sessions.drop(session);
    throw isSame === true ? wasUpdated(place.run) : leadsElsewhere(place.run);
  }

  /** Ends an unused session with a former deployment of its run: a consent is for the current one, which the next call finds. */
  async dropOutdated(found: RemoteRun): Promise<void> {
    const { session } = found;
    if (session !== undefined && !(await this.#isUpToDate(found))) await this.#sources.sessions.dropUnused(session);
  }

  async #isUpToDate({ place, run, runId }: RemoteRun): Promise<boolean> {
    const { id, value } = await findRun(this.#sources.dstack, place, 'Nothing was run.');
    return id === runId && readRun(value).deployment === run.deployment;
  }

  /** Runs work that uses a session, which doesn't end meanwhile. */
  use<T>(session: Session, work: () => Promise<T>): Promise<T> {
    return this.#sources.sessions.use(session, work);
  }

  /** Ends a session that no longer answers, so that the next call makes another one. */
  drop(session: Session): Promise<void> {
    return this.#sources.sessions.drop(session);
  }

  /** Whether the connection of a session still exists. */
  async isOpen({ place }: Session): Promise<boolean> {
    return (await this.#sources.sessions.find(place)) !== undefined;
  }

  async #attach({ run, project, replica, job }: RemotePlace): Promise<AttachStart> {
    const service = new AttachService(this.#sources);
    const ports: string[] = [];
    for (;;) {
      const start = await service.start({
        run,
        project,
        replica,
        job,
        ports: ports.length === 0 ? undefined : ports,
        use: 'session',
      });
      const { state } = start.attachment;
      const free = state.kind === 'failed' ? state.failure.freeMapping : undefined;
      if (free === undefined || ports.length >= MAX_PORTS) return start;
      ports.push(`${free.localPort}:${free.remotePort}`);
    }
  }

  /** The connection may be one that the user made, to a run of the same name in another project. */
  async #isRun({ shell }: Session, runId: string): Promise<boolean> {
    const { stdout, end } = await callProgram(shell, { script: PRINT_RUN_ID, data: [] }, { timeoutMs: PROBE_MS });
    if (end.kind !== 'exited')
      throw new ToolError(
        'connection-lost',
        "The run can't be reached over its connection. Nothing was run.",
        'Check the run with get.',
      );
    return runId !== '' && stdout.toString() === runId;
  }
}

function notConnected(run: string, { attachment: { state } }: AttachStart): ToolError {
  const [why, hint] =
    state.kind === 'failed'
      ? [state.failure.message, state.failure.hint]
      : state.kind === 'ended'
        ? [
            state.message ?? `the attachment has ended (${state.how})`,
            `Check with get whether ${run} is still running.`,
          ]
        : ['it took too long', 'Make the same call again: a machine that has just started needs longer.'];
  return new ToolError('connection-lost', `Could not connect to ${run}: ${why}. Nothing was run.`, hint);
}

const notOnWindows = (): ToolError =>
  new ToolError(
    'connection-lost',
    "OpenSSH for Windows can't share the connection of an attachment. Nothing was run.",
    'Use attach, and give the user the ssh command, or run this server on Linux, macOS or WSL.',
  );

const wasUpdated = (run: string): ToolError =>
  new ToolError(
    'plan-changed',
    `${run} was updated while it was connected to: its consent is for its former deployment. Nothing was run.`,
    'Make the same call again: it asks for a new consent.',
  );

const leadsElsewhere = (run: string): ToolError =>
  new ToolError(
    'connection-lost',
    `The connection named ${run} on this computer leads to another run, or its run doesn't say which it is. Nothing was run.`,
    'Tell the user: an attachment to a run of the same name may be open in a terminal. It has to be ended there.',
  );

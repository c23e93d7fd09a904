import { isAlive } from '../dstack/run/processes.ts';
import type { Attachments } from '../attachments/attachments.ts';
import type { AttachStart } from '../attachments/start-attachment.ts';
import type { SshContext } from '../attachments/attachment-processes.ts';
import type { Connection } from '../attachments/attachment-view.ts';
import { ToolError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import type { RemoteShell } from './remote-shell.ts';
import { createSshShell } from './ssh-shell.ts';

/** One job of a run, as a call names it, on its server. */
export interface RemotePlace {
  readonly server: string;
  readonly project: string;
  readonly run: string;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
}

/** An open connection to a job. */
export interface Session {
  readonly place: RemotePlace;
  /** The run when the connection was made: it can't outlive the run. */
  readonly run: RunFacts;
  readonly runId: string;
  /** The job that dstack chose. */
  readonly replica: number;
  readonly job: number;
  readonly shell: RemoteShell;
}

interface OpenSession extends Session {
  readonly attachmentId: string;
  readonly master: NonNullable<Connection['tunnel']>['master'];
  uses: number;
  idle: NodeJS.Timeout | undefined;
  /** The time at which dstack last showed this deployment of the run. */
  seenAtMs: number;
}

export interface RemoteSessionsOptions {
  readonly attachments: Pick<Attachments, 'release'>;
  readonly ssh: SshContext;
  readonly log: Log;
  readonly idleMs?: number;
  readonly now?: () => number;
}

/** An attachment counts as activity in its run, so an unused one is ended soon. */
const IDLE_MS = 5 * 60_000;

/** A consent is for one deployment of a run, and an update in place leaves some connections open. */
const RECENT_MS = 60_000;

/** OpenSSH accepts ten sessions in one connection by default. Ending a command needs one more. */
const MAX_USES = 8;

const keyOf = ({ server, project, run, replica, job }: RemotePlace): string =>
  JSON.stringify([server, project, run, replica, job]);

/** The connections that programs of this server use. Each ends when it has been unused for a while, unless the user has attached, too. */
export class RemoteSessions {
  readonly #open = new Map<string, OpenSession>();
  readonly #options: RemoteSessionsOptions;
  readonly #now: () => number;

  constructor(options: RemoteSessionsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Returns the session of a job if its connection is still there. */
  async find(place: RemotePlace): Promise<Session | undefined> {
    const session = this.#open.get(keyOf(place));
    if (session === undefined || (await isAlive(session.master))) return session;
    await this.drop(session);
    return undefined;
  }

  /** Whether its run was looked up within the last minute. */
  isRecent({ place }: Session): boolean {
    const { seenAtMs = -Infinity } = this.#open.get(keyOf(place)) ?? {};
    return this.#now() - seenAtMs < RECENT_MS;
  }

  /** Notes that dstack shows the deployment of a session right now. */
  confirm({ place }: Session): void {
    const session = this.#open.get(keyOf(place));
    if (session !== undefined) session.seenAtMs = this.#now();
  }

  /** Adds a session over an attachment that has just been made or joined. */
  add(place: RemotePlace, run: RunFacts, { attachment }: AttachStart): Session | undefined {
    if (attachment.state.kind !== 'attached') return undefined;
    const { tunnel, replica, job } = attachment.state.connection;
    if (tunnel === undefined) return undefined;
    const known = this.#open.get(keyOf(place));
    // Another call was quicker.
    if (known?.attachmentId === attachment.id && known.master.startedAt === tunnel.master.startedAt) return known;
    const shell = createSshShell({ ssh: this.#options.ssh, controlSocket: tunnel.controlSocket });
    const session: OpenSession = {
      place,
      run,
      runId: run.id,
      replica,
      job,
      shell,
      attachmentId: attachment.id,
      master: tunnel.master,
      uses: 0,
      idle: undefined,
      seenAtMs: this.#now(),
    };
    this.#open.set(keyOf(place), session);
    this.#startIdle(session);
    return session;
  }

  /** Runs work that uses a session, which doesn't end meanwhile. @throws ToolError `busy` if too much uses it */
  async use<T>({ place }: Session, work: () => Promise<T>): Promise<T> {
    const session = this.#open.get(keyOf(place));
    if (session === undefined) return work();
    if (session.uses >= MAX_USES) throw tooMany(place.run);
    clearTimeout(session.idle);
    session.uses += 1;
    try {
      return await work();
    } finally {
      session.uses -= 1;
      if (session.uses === 0) this.#startIdle(session);
    }
  }

  /** Ends a session, and its attachment if that was only for sessions. */
  async drop({ place }: Pick<Session, 'place'>): Promise<void> {
    const key = keyOf(place);
    const session = this.#open.get(key);
    if (session === undefined) return;
    this.#open.delete(key);
    clearTimeout(session.idle);
    // Another job of the same run may have the same attachment.
    const isShared = [...this.#open.values()].some(({ attachmentId }) => attachmentId === session.attachmentId);
    if (!isShared) await this.#options.attachments.release(session.attachmentId);
  }

  /** Ends a session unless work uses it. */
  async dropUnused(session: Pick<Session, 'place'>): Promise<void> {
    if (this.#open.get(keyOf(session.place))?.uses === 0) await this.drop(session);
  }

  /** Ends all sessions. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((session) => this.drop(session)));
  }

  #startIdle(session: OpenSession): void {
    const { idleMs = IDLE_MS, log } = this.#options;
    const end = (): void => {
      this.drop(session).catch((error: unknown) => log.warn({ error }, 'Could not end an idle connection.'));
    };
    session.idle = setTimeout(end, idleMs);
    session.idle.unref();
  }
}

const tooMany = (run: string): ToolError =>
  new ToolError(
    'busy',
    `${MAX_USES} commands and copies of this server are already running in ${run}. Nothing was run.`,
    'Wait for one of them, or use background: true for long ones.',
  );

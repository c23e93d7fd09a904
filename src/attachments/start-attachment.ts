import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ToolError } from '../core/errors.ts';
import { pause } from '../core/waiting.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import { createMark, findUnrecorded, MARKER_VARIABLE } from './attachment-processes.ts';
import { addUse } from './attachment-store.ts';
import type { AttachmentRecord, Use } from './attachment-store.ts';
import { viewAttachment } from './attachment-view.ts';
import type { Attachment, Connection, ViewContext } from './attachment-view.ts';
import { lookUpProcess } from '../dstack/run/processes.ts';
import type { ProcessIdentity } from '../dstack/run/processes.ts';
import { busy, endProcesses, stopAttachment } from './stop-attachment.ts';
import type { StopContext } from './stop-attachment.ts';

export interface AttachOptions {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
  /** Milliseconds from now until it returns. */
  readonly deadlineMs: number;
  /** On abort, ends what this call started. */
  readonly signal?: AbortSignal | undefined;
  /** For a dev environment: waits for its link until the deadline. */
  readonly expectIdeLink?: boolean | undefined;
  /** Local ports with their ports in the job, if known, to suggest a free mapping for a busy port. */
  readonly knownPorts?: readonly { readonly localPort: number; readonly remotePort: number }[] | undefined;
  /** `session`: only programs of this server need it, so a new attachment is temporary. Defaults to `user`. */
  readonly use?: Use | undefined;
}

/** The result of starting an attachment; `attachment.state` is its current state. */
export interface AttachStart {
  readonly attachment: Attachment;
  /** False if the attachment was already running. */
  readonly started: boolean;
}

export interface StartContext extends StopContext {
  readonly executable: () => Promise<string>;
}

const WATCH_MS = 100;
/** A job prints its link in its first lines, right after dstack's. */
const SETTLE_MS = 1200;
const BEFORE_DEADLINE_MS = 300;

/** Returns the id of an attachment. dstack's names can't contain its separators, so it is unambiguous. */
function attachmentId({
  run,
  project,
  replica,
  job,
}: Pick<AttachOptions, 'run' | 'project' | 'replica' | 'job'>): string {
  const part = replica === undefined && job === undefined ? '' : `.${job ?? 0}-${replica ?? 'any'}`;
  return `${run}${part}${project === undefined ? '' : `@${encodeURIComponent(project)}`}`;
}

/** Starts an attachment or joins the running one, and watches it until there is a result. */
export async function startAttachment(
  argv: CheckedArgv,
  options: AttachOptions,
  context: StartContext,
): Promise<AttachStart> {
  if (argv.command !== 'attach') throw new Error(`Not an attach: ${argv.command}`);
  const until = performance.now() + options.deadlineMs - BEFORE_DEADLINE_MS;
  const id = attachmentId(options);
  const joined = await context.store.withLock(id, options.deadlineMs - BEFORE_DEADLINE_MS, () =>
    startOrJoin(id, { argv, options, context }),
  );
  if (joined === undefined) throw busy(id);
  const start = await watch(joined.value, { until, options, context });
  return joined.value.started || isDeepStrictEqual(joined.value.record.argv, argv.argv) ? start : asReused(start);
}

/** An attachment that was made with other ports keeps them. */
function asReused({ attachment, started }: AttachStart): AttachStart {
  const { state } = attachment;
  if (state.kind !== 'attached') return { attachment, started };
  const connection = { ...state.connection, reusedTunnel: true };
  return { started, attachment: { ...attachment, state: { ...state, connection } } };
}

interface Joined {
  readonly record: AttachmentRecord;
  readonly started: boolean;
}

interface StartInput {
  readonly argv: CheckedArgv;
  readonly options: AttachOptions;
  readonly context: StartContext;
}

async function startOrJoin(id: string, { argv, options, context }: StartInput): Promise<Joined> {
  const { store, log } = context;
  const recorded = await store.read(id);
  const earlier = recorded ?? (await findUnrecorded(store.folder, [])).find((one) => one.id === id);
  if (earlier !== undefined) {
    const { attachment, record } = await viewAttachment(earlier, context);
    const isRunning = attachment.pid !== undefined;
    if (isRunning && attachment.state.kind !== 'failed') {
      await addUse(record, options.use ?? 'user', store);
      return { record, started: false };
    }
    // dstack would silently reuse the tunnel of a killed attachment, with its old ports.
    const { stillAlive } = await endProcesses(isRunning ? record : { ...record, leader: undefined }, context);
    if (stillAlive.length > 0) throw busy(id);
    await store.forget(id);
  }
  const { run, project, replica, job } = options;
  const record: AttachmentRecord = {
    version: 1,
    id,
    run,
    argv: [...argv.argv],
    marker: createMark(store.folder, id),
    createdAt: new Date().toISOString(),
    ...(project === undefined ? {} : { project }),
    ...(replica === undefined ? {} : { replica }),
    ...(job === undefined ? {} : { job }),
    ...(options.use === 'session' ? { temporary: true } : {}),
  };
  // Written before the start, so that the process can be found by its marker even if this server is killed right after it.
  await addUse(record, 'session', store);
  await store.write(record);
  let leader: ProcessIdentity | undefined;
  try {
    leader = await spawnAttach({
      executable: await context.executable(),
      argv: argv.argv,
      env: context.ssh.env,
      marker: record.marker,
      outputFile: store.outputFile(id),
    });
    const withLeader = leader === undefined ? record : { ...record, leader };
    await store.write(withLeader);
    log.info({ id, pid: leader?.pid }, 'Started dstack attach.');
    return { record: withLeader, started: true };
  } catch (error) {
    // Without a record, the process would run on unnoticed.
    await endProcesses({ ...record, leader }, context);
    await store.forget(id);
    throw error;
  }
}

interface Watch {
  readonly until: number;
  readonly options: AttachOptions;
  readonly context: StartContext;
}

async function watch({ record: joined, started }: Joined, { until, options, context }: Watch): Promise<AttachStart> {
  const viewContext: ViewContext =
    options.knownPorts === undefined ? context : { ...context, knownPorts: options.knownPorts };
  let record = joined;
  // An attachment that was already attached has settled.
  let attachedAt = started || joined.facts === undefined ? undefined : -Infinity;
  for (;;) {
    const seen = await viewAttachment(record, viewContext);
    const { attachment } = seen;
    record = seen.record;
    if (options.signal?.aborted === true) throw await cancelled(record, started, context);
    if (attachment.state.kind === 'attached') {
      attachedAt ??= performance.now();
      if (hasSettled(attachment.state.connection, attachedAt, options)) return { attachment, started };
    } else if (attachment.state.kind !== 'waiting') return { attachment, started };
    if (performance.now() >= until) return { attachment, started };
    await pause(WATCH_MS, options.signal);
  }
}

function hasSettled(connection: Connection, attachedAt: number, { use, expectIdeLink }: AttachOptions): boolean {
  if (use === 'session') return connection.tunnel !== undefined;
  const isSettled = expectIdeLink !== true && performance.now() - attachedAt >= SETTLE_MS;
  return isSettled || connection.ideLink !== undefined;
}

async function cancelled(record: AttachmentRecord, started: boolean, context: StartContext): Promise<ToolError> {
  if (started) await stopAttachment(record, context);
  return new ToolError(
    'cancelled',
    started
      ? 'Attaching was canceled, and the attachment was stopped. The run continues.'
      : 'The call was canceled. The attachment existed before and continues.',
    'Call attach again to attach.',
  );
}

interface SpawnOptions {
  readonly executable: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly marker: string;
  readonly outputFile: string;
}

// Keeps dstack from wrapping long lines, which would not be recognized.
const WIDE = { COLUMNS: '1000', NO_COLOR: '1', PYTHONUNBUFFERED: '1', TERM: 'dumb' };

/**
 * Starts `dstack attach` as the leader of a new process group, with no standard input and its output appended to a file. It continues
 * after this process exits. Returns undefined if it exited before it could be identified.
 * @throws ToolError `cli-not-found` if it can't be started.
 */
async function spawnAttach(options: SpawnOptions): Promise<ProcessIdentity | undefined> {
  await mkdir(path.dirname(options.outputFile), { recursive: true, mode: 0o700 });
  await rm(options.outputFile, { force: true });
  // Append mode, because rotation truncates the file while it is being written.
  const output = await open(options.outputFile, 'ax', 0o600);
  try {
    // Without execa, which doesn't accept a file descriptor: a pipe would tie the child to this process.
    const child = spawn(options.executable, options.argv, {
      env: { ...options.env, ...WIDE, [MARKER_VARIABLE]: options.marker },
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
      windowsHide: true,
    });
    child.unref();
    await once(child, 'spawn');
    const facts = child.pid === undefined ? undefined : await lookUpProcess(child.pid);
    return facts === undefined ? undefined : { pid: facts.pid, startedAt: facts.startedAt };
  } catch (error) {
    throw new ToolError(
      'cli-not-found',
      `Could not start the dstack CLI (${options.executable}): ${String(error)}. Nothing was attached.`,
      'Call doctor to see which executable is used. DSTACK_MCP_CLI sets it.',
      { cause: error },
    );
  } finally {
    await output.close();
  }
}

import { userInfo } from 'node:os';
import path from 'node:path';
import { homeFolder } from '../core/paths.ts';
import { showCommand } from '../dstack/argv/command.ts';
import { adviseOnAttach, readAttachOutput } from './attach-output.ts';
import type { AttachAdvice, AttachOutput, ForwardedPort, IdeLink } from './attach-output.ts';
import { viewOutput } from './attachment-store.ts';
import type { AttachmentFacts, AttachmentRecord, AttachmentStore, OutputView, Tunnel } from './attachment-store.ts';
import { isAlive, lookUpProcess } from '../dstack/run/processes.ts';
import type { ProcessFacts } from '../dstack/run/processes.ts';
import { findMembers, findTunnel } from './attachment-processes.ts';
import type { SshContext } from './attachment-processes.ts';

/** Ways to reach the job while it is attached. */
export interface Connection {
  readonly replica: number;
  readonly job: number;
  readonly sshAlias?: string;
  /** Works in the user's terminal: `ssh web`, with the path of dstack's SSH configuration if ssh doesn't include it. */
  readonly sshCommand?: string;
  readonly ports: readonly ForwardedPort[];
  /** Printed by the job. Show it; only the user may open it. */
  readonly ideLink?: IdeLink;
  /** The tunnel already existed (from a terminal, or left over), so the port mappings of this attachment had no effect. */
  readonly reusedTunnel: boolean;
  /** The SSH master; absent until it is found. */
  readonly tunnel?: Tunnel;
}

export type AttachmentState =
  /** Running, but not attached yet: dstack waits silently until the run has an instance. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'attached'; readonly connection: Connection }
  /** `gone`: it ended without output: it was killed, or the computer shut down. */
  | { readonly kind: 'ended'; readonly how: 'run-finished' | 'detached' | 'gone'; readonly message?: string }
  | { readonly kind: 'failed'; readonly failure: AttachAdvice };

/** The current state of a `dstack attach` in the background. */
export interface Attachment {
  /** `web`, `web@project`, `web.0-1` for job 0 of replica 1. */
  readonly id: string;
  readonly run: string;
  readonly project?: string;
  /** The equivalent command for a terminal. */
  readonly command: string;
  readonly startedAt: string;
  readonly pid?: number;
  readonly outputFile: string;
  readonly state: AttachmentState;
  /** dstack's own lines. */
  readonly dstackOutput: string;
  /** The end of the job's output, which is untrusted. */
  readonly jobOutput: string;
}

export interface ViewContext {
  readonly store: AttachmentStore;
  readonly ssh: SshContext;
  /** Local ports with their ports in the job, if known from the run's configuration. */
  readonly knownPorts?: readonly { readonly localPort: number; readonly remotePort: number }[];
}

const MAX_JOB_OUTPUT_CHARS = 1500;

/** Reads the state of an attachment from its process, output and tunnel, and stores new facts in its record. */
export async function viewAttachment(
  record: AttachmentRecord,
  context: ViewContext,
): Promise<{ readonly attachment: Attachment; readonly record: AttachmentRecord }> {
  // The process first: once it is gone, the output read after that is complete.
  const leader = await findLeader(record);
  const view = await viewOutput(context.store.outputFile(record.id));
  const output = readAttachOutput(view.head);
  const updated = await updateRecord(record, { output, leader, context });
  const state = await stateOf(updated, { output, view, leader, context });
  const isRotated = output.target === undefined && updated.facts !== undefined;
  const jobOutput = isRotated || view.bytes > view.head.length ? view.tail : output.jobOutput;
  const attachment: Attachment = {
    id: record.id,
    run: record.run,
    command: showCommand(record.argv),
    startedAt: record.createdAt,
    outputFile: context.store.outputFile(record.id),
    state,
    dstackOutput: isRotated ? '' : output.dstackOutput,
    jobOutput: lastLines(jobOutput),
    ...(record.project === undefined ? {} : { project: record.project }),
    ...(leader === undefined ? {} : { pid: leader.pid }),
  };
  return { attachment, record: updated };
}

/** Returns the end of a text, from the start of a line if possible. */
function lastLines(text: string): string {
  const end = text.slice(-MAX_JOB_OUTPUT_CHARS);
  return end.length === text.length ? end : end.slice(end.indexOf('\n') + 1);
}

/** Finds the running process of this record by its start time and argv, or by its marker if a killed server left no leader in the record. */
async function findLeader(record: AttachmentRecord): Promise<ProcessFacts | undefined> {
  if (record.leader === undefined) {
    const members = record.endedAt === undefined ? await findMembers(record) : [];
    return members.find((facts) => facts.pid === facts.groupId && isArgvOf(record, facts));
  }
  const facts = await lookUpProcess(record.leader.pid);
  return facts?.startedAt === record.leader.startedAt && isArgvOf(record, facts) ? facts : undefined;
}

function isArgvOf(record: AttachmentRecord, { argv }: ProcessFacts): boolean {
  // Preceded by the interpreter and the script. Joined, because some systems return one string.
  return argv.join(' ').endsWith(record.argv.join(' '));
}

interface Observation {
  readonly output: AttachOutput;
  /** The running process. */
  readonly leader: ProcessFacts | undefined;
  readonly context: ViewContext;
}

async function updateRecord(
  record: AttachmentRecord,
  { output, leader, context }: Observation,
): Promise<AttachmentRecord> {
  const { store, ssh } = context;
  let updated: AttachmentRecord = record;
  const facts = factsOf(output, record.facts);
  if (facts !== undefined && JSON.stringify(facts) !== JSON.stringify(record.facts)) updated = { ...updated, facts };
  const isRunning = leader !== undefined;
  if (isRunning && record.leader === undefined)
    updated = { ...updated, leader: { pid: leader.pid, startedAt: leader.startedAt } };
  if (isRunning && updated.tunnel === undefined && facts !== undefined) {
    const tunnel = await findTunnel(updated, ssh);
    if (tunnel !== undefined) updated = { ...updated, tunnel };
  }
  if (isRunning && updated.tunnel !== undefined && updated.tunnelEndedAt === undefined) {
    if (!(await isAlive(updated.tunnel.master))) updated = { ...updated, tunnelEndedAt: new Date().toISOString() };
  }
  if (!isRunning && updated.endedAt === undefined) updated = { ...updated, endedAt: new Date().toISOString() };
  if (updated === record) return record;
  // Another server may have replaced the attachment: don't overwrite its record.
  const current = await store.read(record.id);
  // Facts that can't be stored (for example on a full disk) are read again next time.
  if (current?.marker === record.marker) await store.write(updated).catch(() => undefined);
  return updated;
}

function factsOf(output: AttachOutput, known: AttachmentFacts | undefined): AttachmentFacts | undefined {
  const { target, sshAlias, ports, sshConfigNotWritten } = output;
  if (target === undefined || sshAlias === undefined) return known;
  // After a rotation, the output begins with lines of the job. A link is the job's anyway; one to another alias is not read.
  const ideLink =
    known === undefined || known.sshAlias === sshAlias ? (output.ideLink ?? known?.ideLink) : known.ideLink;
  if (known !== undefined) return ideLink === undefined ? known : { ...known, ideLink };
  return { target, sshAlias, ports: [...ports], sshConfigNotWritten, ...(ideLink === undefined ? {} : { ideLink }) };
}

async function stateOf(
  record: AttachmentRecord,
  { output, view, leader, context }: Observation & { readonly view: OutputView },
): Promise<AttachmentState> {
  if (leader !== undefined) {
    if (record.tunnelEndedAt !== undefined) return broken(TUNNEL_ENDED, record);
    if (record.facts !== undefined)
      return { kind: 'attached', connection: connectionOf(record, record.facts, context.ssh) };
    return view.isMissing ? broken(FILES_DELETED, record) : { kind: 'waiting' };
  }
  const end = readAttachOutput(`${view.head}\n${view.tail}`);
  if (record.facts === undefined && !output.detached) {
    const failure = output.failure;
    if (failure === undefined) return { kind: 'ended', how: 'gone' };
    if (failure.failure.reason === 'run-ended') return { kind: 'ended', how: 'run-finished', message: failure.message };
    const knownPorts = [...(context.knownPorts ?? [])];
    return {
      kind: 'failed',
      failure: await adviseOnAttach(failure, { argv: record.argv, run: record.run, knownPorts }),
    };
  }
  if (end.finished !== undefined) return { kind: 'ended', how: 'run-finished', message: end.finished };
  if (!end.detached && record.tunnelEndedAt !== undefined) return broken(TUNNEL_ENDED, record);
  return { kind: 'ended', how: end.detached ? 'detached' : 'gone' };
}

const TUNNEL_ENDED = {
  failure: { reason: 'tunnel-ended' },
  message: 'Its SSH connection has ended: nothing is forwarded anymore.',
} as const;

const FILES_DELETED = {
  failure: { reason: 'files-deleted' },
  message: "Its files in the state folder were deleted: its ports and its state aren't known anymore.",
} as const;

/** Returns the state of an attachment that is of no use anymore, although its process may still run. */
const broken = async (
  why: Parameters<typeof adviseOnAttach>[0],
  { argv, run }: AttachmentRecord,
): Promise<AttachmentState> => ({
  kind: 'failed',
  failure: await adviseOnAttach(why, { argv, run, knownPorts: [] }),
});

function connectionOf(record: AttachmentRecord, facts: AttachmentFacts, ssh: SshContext): Connection {
  const { target, sshAlias, ports, ideLink, sshConfigNotWritten } = facts;
  return {
    replica: target.replica,
    job: target.job,
    ports,
    reusedTunnel: record.tunnel?.owned === false,
    ...(record.tunnel === undefined ? {} : { tunnel: record.tunnel }),
    ...(sshAlias === undefined ? {} : { sshAlias, sshCommand: sshCommand(sshAlias, { sshConfigNotWritten, ssh }) }),
    ...(ideLink === undefined ? {} : { ideLink }),
  };
}

function sshCommand(
  alias: string,
  { sshConfigNotWritten, ssh }: { sshConfigNotWritten: boolean; ssh: SshContext },
): string {
  // OpenSSH gets the home folder from the user database, dstack from the environment: if they differ, ssh doesn't know the alias.
  const isIncluded = !sshConfigNotWritten && path.join(userInfo().homedir, '.dstack', 'ssh') === ssh.dstackSshDir;
  return isIncluded ? `ssh ${alias}` : `ssh -F ${path.join(ssh.dstackSshDir, 'config')} ${alias}`;
}

/** Returns the folder of dstack's SSH files for a child process with this environment. */
export function dstackSshDirOf(env: Readonly<Record<string, string>>): string {
  return path.join(homeFolder(env), '.dstack', 'ssh');
}

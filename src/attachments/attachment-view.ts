import { homedir, userInfo } from 'node:os';
import path from 'node:path';
import { adviseOnAttach, commandLine } from './attach-advice.ts';
import type { AttachAdvice } from './attach-advice.ts';
import type { AttachmentFacts, AttachmentRecord, AttachmentStore } from './attachment-store.ts';
import { viewOutput } from './attachment-log.ts';
import type { OutputView } from './attachment-log.ts';
import { lookUpProcess } from './process-identity.ts';
import type { ProcessFacts } from './process-identity.ts';
import { readAttachOutput } from './read-attach-output.ts';
import type { AttachOutput, ForwardedPort, IdeLink } from './read-attach-output.ts';
import { findMembers, findTunnel } from './ssh-tunnel.ts';
import type { SshContext } from './ssh-tunnel.ts';

/** How to reach the job while it is attached. */
export interface Connection {
  readonly replica: number;
  readonly job: number;
  readonly sshAlias?: string;
  /** Works in a terminal of this computer's user: `ssh web`, with dstack's own configuration named where the alias alone isn't known. */
  readonly sshCommand?: string;
  readonly ports: readonly ForwardedPort[];
  /** Printed by the job: to be shown, and opened by a person only. */
  readonly ideLink?: IdeLink;
  readonly sshConfigNotWritten: boolean;
  /** The tunnel was there before (a terminal's, or one left behind): port mappings of this attachment had no effect. */
  readonly reusedTunnel: boolean;
}

export type AttachmentState =
  /** Running, and not attached yet: dstack waits until the run has a machine, and prints nothing meanwhile. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'attached'; readonly connection: Connection }
  /** `gone`: it ended without a word, killed or with the computer. */
  | { readonly kind: 'ended'; readonly how: 'run-finished' | 'detached' | 'gone'; readonly words?: string }
  | { readonly kind: 'failed'; readonly failure: AttachAdvice };

/** One `dstack attach` in the background, as it stands. */
export interface Attachment {
  /** `web`, `web@project`, `web.0-1` for job 0 of replica 1. */
  readonly id: string;
  readonly run: string;
  readonly project?: string;
  /** What a person can run in a terminal to the same effect. */
  readonly command: string;
  readonly startedAt: string;
  readonly pid?: number;
  readonly outputFile: string;
  readonly outputBytes: number;
  readonly state: AttachmentState;
  /** dstack's own lines. */
  readonly dstackSaid: string;
  /** The end of what the job printed: text of a program that we don't know. */
  readonly jobSaid: string;
}

export interface ViewContext {
  readonly store: AttachmentStore;
  readonly ssh: SshContext;
  /** Local port to port in the job, where known from the run's configuration. */
  readonly knownPorts?: readonly { readonly localPort: number; readonly remotePort: number }[];
}

const JOB_SAID_CHARS = 1500;

/** Looks at an attachment: its process, its output, its tunnel; keeps in the record what was learned. */
export async function viewAttachment(
  record: AttachmentRecord,
  context: ViewContext,
): Promise<{ readonly attachment: Attachment; readonly record: AttachmentRecord }> {
  // The process first: when it is gone, the output that is read afterwards is complete.
  const leader = await findLeader(record);
  const view = await viewOutput(context.store.outputFile(record.id));
  const output = readAttachOutput(view.head);
  const learned = await learn(record, { output, isRunning: leader !== undefined, context });
  const state = await stateOf(learned, { output, view, isRunning: leader !== undefined, context });
  const isRotated = output.target === undefined && learned.facts !== undefined;
  const jobSaid = isRotated || view.bytes > view.head.length ? view.tail : output.jobSaid;
  const attachment: Attachment = {
    id: record.id,
    run: record.run,
    command: commandLine(record.argv),
    startedAt: record.createdAt,
    outputFile: context.store.outputFile(record.id),
    outputBytes: view.bytes,
    state,
    dstackSaid: isRotated ? '' : output.dstackSaid,
    jobSaid: lastLines(jobSaid),
    ...(record.project === undefined ? {} : { project: record.project }),
    ...(leader === undefined ? {} : { pid: leader.pid }),
  };
  return { attachment, record: learned };
}

/** The end of a text, from the start of a line where there is one. */
function lastLines(text: string): string {
  const end = text.slice(-JOB_SAID_CHARS);
  return end.length === text.length ? end : end.slice(end.indexOf('\n') + 1);
}

/** The living process that was started for this record, told by its start time and its argv; a server killed in between left no note of it. */
async function findLeader(record: AttachmentRecord): Promise<ProcessFacts | undefined> {
  if (record.leader === undefined) {
    const members = record.endedAt === undefined ? await findMembers(record) : [];
    return members.find((facts) => facts.pid === facts.groupId && isArgvOf(record, facts));
  }
  const facts = await lookUpProcess(record.leader.pid);
  return facts?.startedAt === record.leader.startedAt && isArgvOf(record, facts) ? facts : undefined;
}

function isArgvOf(record: AttachmentRecord, { argv }: ProcessFacts): boolean {
  // The interpreter and the script stand before; a system that gives one text has lost the borders between the words.
  return argv.join(' ').endsWith(record.argv.join(' '));
}

interface Seen {
  readonly output: AttachOutput;
  readonly isRunning: boolean;
  readonly context: ViewContext;
}

async function learn(record: AttachmentRecord, { output, isRunning, context }: Seen): Promise<AttachmentRecord> {
  const { store, ssh } = context;
  let learned: AttachmentRecord = record;
  const facts = factsOf(output, record.facts);
  if (facts !== undefined && JSON.stringify(facts) !== JSON.stringify(record.facts)) learned = { ...learned, facts };
  if (isRunning && record.leader === undefined) {
    const leader = await findLeader(record);
    if (leader !== undefined) learned = { ...learned, leader: { pid: leader.pid, startedAt: leader.startedAt } };
  }
  if (isRunning && learned.tunnel === undefined && facts !== undefined) {
    const tunnel = await findTunnel(learned, ssh);
    if (tunnel !== undefined) learned = { ...learned, tunnel };
  }
  if (!isRunning && learned.endedAt === undefined) learned = { ...learned, endedAt: new Date().toISOString() };
  if (learned === record) return record;
  // Another server may have ended it and started anew: its record isn't ours to replace.
  const current = await store.read(record.id);
  // What can't be kept (a full disk) is learned anew at the next look.
  if (current?.marker === record.marker) await store.write(learned).catch(() => undefined);
  return learned;
}

function factsOf(output: AttachOutput, known: AttachmentFacts | undefined): AttachmentFacts | undefined {
  const { target, sshAlias, ports, sshConfigNotWritten } = output;
  const ideLink = output.ideLink ?? known?.ideLink;
  if (target === undefined || sshAlias === undefined) return known;
  return { target, sshAlias, ports: [...ports], sshConfigNotWritten, ...(ideLink === undefined ? {} : { ideLink }) };
}

async function stateOf(
  record: AttachmentRecord,
  { output, view, isRunning, context }: Seen & { readonly view: OutputView },
): Promise<AttachmentState> {
  if (isRunning) {
    return record.facts === undefined
      ? { kind: 'waiting' }
      : { kind: 'attached', connection: connectionOf(record, record.facts, context.ssh) };
  }
  const end = readAttachOutput(`${view.head}\n${view.tail}`);
  if (record.facts === undefined && !output.detached) {
    const failure = output.failure;
    if (failure === undefined) return { kind: 'ended', how: 'gone' };
    if (failure.failure.reason === 'run-ended') return { kind: 'ended', how: 'run-finished', words: failure.words };
    const knownPorts = [...(context.knownPorts ?? [])];
    return {
      kind: 'failed',
      failure: await adviseOnAttach(failure, { argv: record.argv, run: record.run, knownPorts }),
    };
  }
  if (end.finished !== undefined) return { kind: 'ended', how: 'run-finished', words: end.finished };
  return { kind: 'ended', how: end.detached ? 'detached' : 'gone' };
}

function connectionOf(record: AttachmentRecord, facts: AttachmentFacts, ssh: SshContext): Connection {
  const { target, sshAlias, ports, ideLink, sshConfigNotWritten } = facts;
  return {
    replica: target.replica,
    job: target.job,
    ports,
    sshConfigNotWritten,
    reusedTunnel: record.tunnel?.owned === false,
    ...(sshAlias === undefined ? {} : { sshAlias, sshCommand: sshCommand(sshAlias, { sshConfigNotWritten, ssh }) }),
    ...(ideLink === undefined ? {} : { ideLink }),
  };
}

function sshCommand(
  alias: string,
  { sshConfigNotWritten, ssh }: { sshConfigNotWritten: boolean; ssh: SshContext },
): string {
  // OpenSSH takes the home folder from the system's user list, dstack from the environment: where they differ, ssh never sees the alias.
  const isIncluded = !sshConfigNotWritten && path.join(userInfo().homedir, '.dstack', 'ssh') === ssh.dstackSshDir;
  return isIncluded ? `ssh ${alias}` : `ssh -F ${path.join(ssh.dstackSshDir, 'config')} ${alias}`;
}

/** The folder of dstack's SSH files, for a child with this environment. */
export function dstackSshDirOf(env: Readonly<Record<string, string>>): string {
  const home = process.platform === 'win32' ? env['USERPROFILE'] : env['HOME'];
  return path.join(home ?? homedir(), '.dstack', 'ssh');
}

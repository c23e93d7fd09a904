import { randomUUID } from 'node:crypto';
import { lstat, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { sha256 } from '../core/values.ts';
import type { AttachmentRecord, Tunnel } from './attachment-store.ts';
import { findByEnvironment, isAlive, lookUpProcess } from '../dstack/run/processes.ts';
import type { MarkedProcess, ProcessFacts, ProcessIdentity } from '../dstack/run/processes.ts';

/** The environment of the ssh that dstack uses, and the folder of dstack's SSH files. */
export interface SshContext {
  readonly env: Readonly<Record<string, string>>;
  /** `~/.dstack/ssh` of that environment's home. */
  readonly dstackSshDir: string;
}

const SSH_TIMEOUT_MS = 5000;

/**
 * Finds the SSH master of an attached run. `dstack attach` leaves it running in the background, in its own session, with a control socket
 * named after the alias. It is owned if this attachment started it: dstack silently reuses an existing one.
 */
export async function findTunnel(record: AttachmentRecord, ssh: SshContext): Promise<Tunnel | undefined> {
  const alias = record.facts?.sshAlias;
  if (alias === undefined) return undefined;
  const controlSocket = path.join(ssh.dstackSshDir, `${alias}.control.sock`);
  const destination = `root@${alias}`;
  const pid = await askMaster({ controlSocket, destination }, ssh);
  const facts = pid === undefined ? undefined : await lookUpProcess(pid);
  if (facts === undefined) return undefined;
  const master = { pid: facts.pid, startedAt: facts.startedAt };
  return { controlSocket, destination, master, owned: await isOwn(master, record) };
}

async function isOwn(master: ProcessIdentity, record: AttachmentRecord): Promise<boolean> {
  const marked = await findMarked(record.marker);
  if (marked !== undefined)
    return marked.some(({ pid, startedAt }) => pid === master.pid && startedAt === master.startedAt);
  // Without access to the environment, compare start times: the master is a grandchild whose parent has exited.
  return Date.parse(master.startedAt) >= Date.parse(record.leader?.startedAt ?? '');
}

/** The variable that marks every process of an attachment. */
export const MARKER_VARIABLE = 'DSTACK_MCP_ATTACHMENT';

async function findMarked(marker: string): Promise<ProcessFacts[] | undefined> {
  return (await findByEnvironment(MARKER_VARIABLE))?.filter(({ value }) => value === marker);
}

/** Ends an owned master through its control socket, as dstack's own detach does. */
export async function closeTunnel(tunnel: Tunnel, ssh: SshContext): Promise<void> {
  if (!tunnel.owned || (await askMaster(tunnel, ssh)) !== tunnel.master.pid || !(await isAlive(tunnel.master))) return;
  await control('exit', tunnel, ssh);
}

/** Removes the control socket of a killed owned master. Keeps the socket if a master still responds. */
export async function removeDeadSocket(tunnel: Tunnel, ssh: SshContext): Promise<void> {
  const file = await lstat(tunnel.controlSocket).catch(() => undefined);
  if (!tunnel.owned || file?.isSocket() !== true || (await askMaster(tunnel, ssh)) !== undefined) return;
  await rm(tunnel.controlSocket, { force: true });
}

/** Returns the running processes of an attachment, including its leader. */
export async function findMembers(record: AttachmentRecord): Promise<ProcessFacts[]> {
  const marked = await findMarked(record.marker);
  if (marked !== undefined) return marked;
  const known = [record.leader, record.tunnel?.owned === true ? record.tunnel.master : undefined];
  const found = await Promise.all(known.filter((identity) => identity !== undefined).map(findSame));
  return found.filter((facts) => facts !== undefined);
}

async function findSame(identity: ProcessIdentity): Promise<ProcessFacts | undefined> {
  const facts = await lookUpProcess(identity.pid);
  return facts?.startedAt === identity.startedAt ? facts : undefined;
}

type Master = Pick<Tunnel, 'controlSocket' | 'destination'>;

async function askMaster(master: Master, ssh: SshContext): Promise<number | undefined> {
  const output = await control('check', master, ssh);
  const pid = /Master running \(pid=(\d+)\)/.exec(output)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

async function control(
  command: 'check' | 'exit',
  { controlSocket, destination }: Master,
  ssh: SshContext,
): Promise<string> {
  const file = await lstat(controlSocket).catch(() => undefined);
  if (file?.isSocket() !== true) return '';
  // Without configuration and prompts: if there is no master, ssh would connect to the destination itself.
  const args = ['-F', 'none', '-o', 'BatchMode=yes', '-S', controlSocket, '-O', command, destination];
  // dstack's own variable for the path of ssh.
  const { all } = await execa(ssh.env['DSTACK_SSH_CLIENT'] ?? 'ssh', args, {
    env: ssh.env,
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
    timeout: SSH_TIMEOUT_MS,
  });
  return all ?? '';
}

// Every process of an attachment carries its mark: the state folder, a random part, and the id. So it is found even if its record was
// deleted, and only by the servers of its state folder.

const ownerOf = (folder: string): string => sha256(path.resolve(folder)).slice(0, 16);

/** Creates the mark of a new attachment, whose records are in this folder. */
export const createMark = (folder: string, id: string): string => `${ownerOf(folder)}.${randomUUID()}.${id}`;

/** Returns records of the running attachments of this folder that have none. Finds none on systems other than Linux. */
export async function findUnrecorded(
  folder: string,
  recorded: readonly AttachmentRecord[],
): Promise<AttachmentRecord[]> {
  const known = new Set(recorded.map(({ marker }) => marker));
  const marked = (await findByEnvironment(MARKER_VARIABLE)) ?? [];
  const own = marked.filter(({ value }) => value.startsWith(`${ownerOf(folder)}.`) && !known.has(value));
  const marks = [...new Set(own.map(({ value }) => value))];
  return marks.map((mark) =>
    toRecord(
      mark,
      own.filter(({ value }) => value === mark),
    ),
  );
}

function toRecord(marker: string, processes: readonly MarkedProcess[]): AttachmentRecord {
  const id = marker.split('.').slice(2).join('.');
  // dstack's names have no such characters.
  const [run = ''] = id.split(/[.@]/);
  const project = /@(.*)$/.exec(id)?.[1];
  const leader = processes.find(({ pid, groupId, argv }) => pid === groupId && argv.includes('attach'));
  return {
    version: 1,
    id,
    run,
    argv: leader?.argv.slice(leader.argv.indexOf('attach')) ?? ['attach', run],
    marker,
    createdAt: new Date().toISOString(),
    ...(project === undefined ? {} : { project: decodeURIComponent(project) }),
    ...(leader === undefined ? {} : { leader: { pid: leader.pid, startedAt: leader.startedAt } }),
  };
}

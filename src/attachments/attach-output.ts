import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { joinWords } from '../core/values.ts';
import { showCommand } from '../dstack/argv/command.ts';

/** A local port that `dstack attach` forwards into the job. */
export interface ForwardedPort {
  readonly host: string;
  readonly localPort: number;
  readonly remotePort: number;
}

/** A link that opens the job in an editor. The job prints it, so the user decides whether to open it. */
export interface IdeLink {
  /** The link's scheme: `vscode`, `cursor`, `windsurf`, `zed`, ... */
  readonly scheme: string;
  readonly url: string;
}

/** Why dstack couldn't attach, according to its output. */
type AttachFailure =
  | { readonly reason: 'port-in-use'; readonly port: number }
  | { readonly reason: 'port-not-exposed'; readonly port: number }
  | { readonly reason: 'run-not-found' }
  | { readonly reason: 'run-ended'; readonly status: string }
  | { readonly reason: 'no-such-job' }
  | { readonly reason: 'not-provisioned' }
  | { readonly reason: 'no-connection' }
  | { readonly reason: 'ssh-missing' }
  | { readonly reason: 'ssh-unsupported' }
  | { readonly reason: 'ssh-key' }
  | { readonly reason: 'git-missing' }
  | { readonly reason: 'no-permission'; readonly path: string }
  | { readonly reason: 'server-unreachable' }
  | { readonly reason: 'access-denied' }
  /** Its SSH master has ended: nothing is forwarded anymore. */
  | { readonly reason: 'tunnel-ended' }
  /** Its files in the state folder were deleted while it was running. */
  | { readonly reason: 'files-deleted' }
  | { readonly reason: 'other' };

/** The job that dstack attached to. */
interface AttachTarget {
  readonly run: string;
  readonly replica: number;
  readonly job: number;
}

/** The parsed output of `dstack attach`. */
export interface AttachOutput {
  /** Undefined until dstack attached. */
  readonly target?: AttachTarget;
  readonly sshAlias?: string;
  readonly ports: readonly ForwardedPort[];
  readonly ideLink?: IdeLink;
  /** dstack couldn't write `~/.ssh/config`, so the alias works only with dstack's own SSH configuration. */
  readonly sshConfigNotWritten: boolean;
  /** dstack's error if it didn't attach, in one line. */
  readonly failure?: { readonly failure: AttachFailure; readonly message: string };
  /** The word that dstack prints if the run ends while it is attached (`Exited (0)`). */
  readonly finished?: string;
  readonly detached: boolean;
  /** dstack's own lines, and the job's output after them. */
  readonly dstackOutput: string;
  readonly jobOutput: string;
}

const ATTACHED = /^Attached to run (\S+) \(replica=(\d+) job=(\d+)\)\s*$/;
const PORT = /^\s*- (\S+):(\d+) -> (\d+)\s*$/;
const ALIAS = /^To connect to the run via SSH, use `ssh ([^`\s]+)`/;
const END_OF_HEAD = /^Press Ctrl\+C to detach/;
const FINISHED =
  /^(Exited \(-?\d+\)|Stopped|Aborted|Terminated|Done|Failed|Error|No capacity|Interrupted)(?: \(.*\))?\s*$/;

/** In order of precedence: the first pattern that matches any line determines the failure. */
const FAILURES: readonly (readonly [RegExp, (groups: readonly string[]) => AttachFailure])[] = [
  [/^Failed to attach: port (\d+) is already in use/, ([port]) => ({ reason: 'port-in-use', port: Number(port) })],
  [
    /^Cannot override port (\d+) not exposed by the run/,
    ([port]) => ({ reason: 'port-not-exposed', port: Number(port) }),
  ],
  [/^Run \S+ not found/, () => ({ reason: 'run-not-found' })],
  [/^Run \S+ is (\w+)\s*$/, ([status]) => ({ reason: 'run-ended', status: status ?? '' })],
  [/^Failed to find replica=\S+ job=\d+/, () => ({ reason: 'no-such-job' })],
  [/^Failed to attach\. The run is not provisioned yet/, () => ({ reason: 'not-provisioned' })],
  [/^Can't connect to the remote host/, () => ({ reason: 'no-connection' })],
  [/^SSH client not found/, () => ({ reason: 'ssh-missing' })],
  [
    /^(?:OpenSSH for Windows is not supported|Unsupported SSH client|failed to (?:execute|parse) `.*ssh)/,
    () => ({ reason: 'ssh-unsupported' }),
  ],
  // GitPython, which dstack imports, prints a page of advice after it.
  [
    /^(?:ImportError: )?(?:Bad git executable\.|Failed to initialize: Bad git executable\.)/,
    () => ({ reason: 'git-missing' }),
  ],
  [/^User SSH key doesn't match/, () => ({ reason: 'ssh-key' })],
  [
    /^(?:PermissionError|FileExistsError|NotADirectoryError|IsADirectoryError|OSError): \[Errno \d+\] [^:]+: '([^']+)'/,
    ([path]) => ({ reason: 'no-permission', path: path ?? '' }),
  ],
  [/^Failed to connect to dstack server/, () => ({ reason: 'server-unreachable' })],
  [/^Access to \S+ is denied/, () => ({ reason: 'access-denied' })],
];

/**
 * Parses the output of `dstack attach`. Reads ports and alias only from dstack's own lines, which precede the job's. Reads a link from the
 * job's lines only if it points to this alias.
 */
export function readAttachOutput(text: string): AttachOutput {
  const lines = text.split(/\r?\n/);
  const attachedAt = lines.findIndex((line) => ATTACHED.test(line));
  const sshConfigNotWritten = /Couldn't update `[^`]*` due to a permissions problem/.test(
    lines.slice(0, attachedAt === -1 ? lines.length : attachedAt).join('\n'),
  );
  const detached = lines.some((line) => /^Detached\s*$/.test(line));
  if (attachedAt === -1)
    return { ports: [], sshConfigNotWritten, detached, dstackOutput: text, jobOutput: '', ...readFailure(lines) };
  const head = readHead(lines, attachedAt);
  const jobLines = lines.slice(head.end);
  const ideLink =
    head.alias === undefined ? undefined : jobLines.map((line) => readIdeLink(line, head.alias)).find(Boolean);
  const finished = readFinished(jobLines);
  return {
    target: head.target,
    ports: head.ports,
    sshConfigNotWritten,
    detached,
    dstackOutput: lines.slice(0, head.end).join('\n'),
    jobOutput: jobLines.join('\n'),
    ...(head.alias === undefined ? {} : { sshAlias: head.alias }),
    ...(ideLink === undefined ? {} : { ideLink }),
    ...(finished === undefined ? {} : { finished }),
  };
}

/** Reads dstack's own block, from "Attached to run" to "Press Ctrl+C". */
function readHead(lines: readonly string[], start: number) {
  const [, run = '', replica, job] = ATTACHED.exec(lines[start] ?? '') ?? [];
  const ports: ForwardedPort[] = [];
  let alias: string | undefined;
  let end = start + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end] ?? '';
    if (END_OF_HEAD.test(line)) {
      end += 1;
      break;
    }
    const port = PORT.exec(line);
    if (port !== null) ports.push({ host: port[1] ?? '', localPort: Number(port[2]), remotePort: Number(port[3]) });
    alias ??= ALIAS.exec(line)?.[1];
  }
  return { target: { run, replica: Number(replica), job: Number(job) }, ports, alias, end };
}

/** Reads a line that is only a link to this run's alias, in an editor's own scheme. */
function readIdeLink(line: string, alias: string | undefined): IdeLink | undefined {
  const match =
    /^\s*([a-z][a-z0-9+.-]*):\/\/(?:vscode-remote\/ssh-remote\+|ssh\/)([A-Za-z0-9._-]+)(\/[\w./~%@+:-]*)?\s*$/.exec(
      line,
    );
  const [, scheme, authority] = match ?? [];
  if (scheme === undefined || authority !== alias || /^(?:https?|ftp|file|javascript|data)$/.test(scheme))
    return undefined;
  return { scheme, url: line.trim() };
}

function readFailure(lines: readonly string[]): Pick<AttachOutput, 'failure'> {
  for (const [pattern, toFailure] of FAILURES) {
    // From the end: the last line of a traceback is the error that ended dstack, not one that it handled.
    const message = lines.findLast((line) => pattern.test(line));
    const match = message === undefined ? null : pattern.exec(message);
    if (match !== null && message !== undefined) {
      return { failure: { failure: toFailure(match.slice(1)), message: message.trim() } };
    }
  }
  const message = lines.findLast((line) => line.trim() !== '');
  return message === undefined ? {} : { failure: { failure: { reason: 'other' }, message: message.trim() } };
}

/** Returns dstack's word for the end, without the details after it. Meaningful only after the process ended: a job may print the same. */
function readFinished(jobLines: readonly string[]): string | undefined {
  const line = jobLines.slice(-8).findLast((one) => FINISHED.test(one));
  return line === undefined ? undefined : FINISHED.exec(line)?.[1];
}

/** Why attaching failed and what to do, for the model and its user. */
export interface AttachAdvice {
  /** dstack's own error message. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
  /** A command for the user to run in a terminal. */
  readonly command: string;
  /** A free mapping for a port in use. */
  readonly freeMapping?: { readonly localPort: number; readonly remotePort: number };
}

interface AdviceContext {
  /** The arguments of `dstack` in the failed attempt. */
  readonly argv: readonly string[];
  readonly run: string;
  /** Local ports with their ports in the job, if known: dstack's own advice shows the local port for both. */
  readonly knownPorts: readonly { readonly localPort: number; readonly remotePort: number }[];
}

/** Returns what to do about a failed attach, including the command to run. */
export async function adviseOnAttach(
  { failure, message }: { readonly failure: AttachFailure; readonly message: string },
  context: AdviceContext,
): Promise<AttachAdvice> {
  if (failure.reason === 'port-in-use') return { message, ...(await adviseOnPort(failure.port, context)) };
  const command = showCommand(context.argv);
  return { message, hint: hintFor(failure, context.run), command: commandFor(failure, context.run) ?? command };
}

function hintFor(failure: Exclude<AttachFailure, { reason: 'port-in-use' }>, run: string): string {
  switch (failure.reason) {
    case 'port-not-exposed':
      return `The run doesn't expose port ${failure.port}: map only ports in its configuration, as LOCAL:PORT_IN_THE_JOB.`;
    case 'run-not-found':
      return 'List the runs of this project with ps (all: true), and attach by the name shown there.';
    case 'run-ended':
      return `The run is ${failure.status}, so there is nothing to attach to. Read its logs, or plan and apply it again.`;
    case 'no-such-job':
      return `Call get to see the replicas and jobs of ${run}, and pass one of them.`;
    case 'not-provisioned':
      return 'The run has no instance yet. Wait with get until it is running, then attach again.';
    case 'no-connection':
      return `The instance doesn't respond over SSH. Check with get whether ${run} is still running. If it is, try again in a minute, and check that this computer can open SSH connections to the internet.`;
    case 'ssh-missing':
      return 'Install OpenSSH (Debian and Ubuntu: sudo apt install openssh-client; Windows: Git for Windows), add `ssh` to the PATH of this server, and attach again.';
    case 'git-missing':
      return 'dstack needs git. Install it, add `git` to the PATH of this server, and attach again.';
    case 'ssh-unsupported':
      return 'dstack needs OpenSSH 8.4 or later (on Windows, the one in Git for Windows). Install it and attach again.';
    case 'ssh-key':
      return 'The run was submitted with the SSH key of another user or computer. Attach from there, or submit the run again from here.';
    case 'no-permission':
      return `dstack can't write ${failure.path}. Make it writable for your user (the command below shows its owner), then attach again.`;
    case 'server-unreachable':
      return 'The dstack server does not respond. Call doctor to see which server is configured and whether it is reachable.';
    case 'access-denied':
      return 'The dstack server rejects the token. The user has to renew it (dstack login, or dstack project add).';
    case 'tunnel-ended':
      return `Check with get whether ${run} is still running. If it is, attach again: that replaces this attachment.`;
    case 'files-deleted':
      return 'Attach again: that replaces this attachment. Or stop it.';
    case 'other':
      return 'Read what dstack printed. The user can run the command in a terminal to see the whole output.';
    default:
      return failure satisfies never;
  }
}

function commandFor(failure: AttachFailure, run: string): string | undefined {
  if (failure.reason === 'no-permission') return joinWords(['ls', '-ld', failure.path]);
  if (failure.reason === 'run-ended') return showCommand(['logs', run]);
  if (failure.reason === 'ssh-missing' || failure.reason === 'ssh-unsupported') return 'ssh -V';
  if (failure.reason === 'git-missing') return 'git --version';
  return failure.reason === 'run-not-found' ? 'dstack ps -a' : undefined;
}

async function adviseOnPort(port: number, { argv, run, knownPorts }: AdviceContext) {
  const remotePort = knownPorts.find(({ localPort }) => localPort === port)?.remotePort ?? port;
  const localPort = await findFreePort(port + 1);
  if (localPort === undefined) {
    return {
      hint: `Port ${port} is in use on this computer. Stop the program that uses it, then attach again.`,
      command: showCommand(argv),
    };
  }
  const mapping = `${localPort}:${remotePort}`;
  return {
    freeMapping: { localPort, remotePort },
    hint: `Port ${port} is in use on this computer (a port stays in use for about a minute after it is released). Attach again with the port mapping "${mapping}", or stop what uses ${port}: it may be another attachment to ${run}, or another program.`,
    command: showCommand([...withoutMapping(argv, remotePort), '--port', mapping]),
  };
}

/** Removes an earlier mapping of the same port in the job: dstack uses the last one. */
function withoutMapping(argv: readonly string[], remotePort: number): string[] {
  const isOld = (flag: string | undefined, value: string | undefined): boolean =>
    (flag === '--port' || flag === '-p') && value?.split(':').at(-1) === String(remotePort);
  return argv.filter((word, index) => !isOld(word, argv[index + 1]) && !isOld(argv[index - 1], word));
}

const PORTS_TO_TRY = 100;

/** Returns the first port from `first` on that has neither a listener nor a connection, not even a closed one. */
async function findFreePort(first: number): Promise<number | undefined> {
  const used = await readUsedPorts();
  for (let port = first; port < Math.min(first + PORTS_TO_TRY, 65_536); port += 1) {
    if (!used.has(port) && (await canListen(port))) return port;
  }
  return undefined;
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    // dstack checks all IPv4 addresses.
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Returns the local ports of all TCP connections in any state: dstack's check fails for TIME_WAIT, but listening here would succeed. */
async function readUsedPorts(): Promise<Set<number>> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const ports = tables.join('\n').matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm);
  return new Set([...ports].map(([, port]) => Number.parseInt(port ?? '', 16)));
}

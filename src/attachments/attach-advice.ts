import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { joinWords } from '../core/format-values.ts';
import { showCommand } from '../dstack/argv/command.ts';
import type { AttachFailure } from './read-attach-output.ts';

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

export interface AdviceContext {
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

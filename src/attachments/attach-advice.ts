import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AttachFailure } from './read-attach-output.ts';

/** Why attaching failed, in words for the model and the person behind it. */
export interface AttachAdvice {
  readonly reason: AttachFailure['reason'];
  /** dstack's own last words. */
  readonly words: string;
  /** What to do next. */
  readonly hint: string;
  /** What a person can run in a terminal to do or see it themselves. */
  readonly command: string;
  /** A mapping that is free right now, for a busy port. */
  readonly freeMapping?: { readonly localPort: number; readonly remotePort: number };
}

export interface AdviceContext {
  /** The argv of the attempt, after `dstack`. */
  readonly argv: readonly string[];
  readonly run: string;
  /** Local port to port in the job, as far as known: dstack's own advice names the local one for both. */
  readonly knownPorts: readonly { readonly localPort: number; readonly remotePort: number }[];
}

/** Says what to do about a failed attach, down to the command to run. */
export async function adviseOnAttach(
  { failure, words }: { readonly failure: AttachFailure; readonly words: string },
  context: AdviceContext,
): Promise<AttachAdvice> {
  const said = { reason: failure.reason, words };
  if (failure.reason === 'port-in-use') return { ...said, ...(await adviseOnPort(failure.port, context)) };
  const command = commandLine(context.argv);
  return { ...said, hint: hintFor(failure, context.run), command: commandFor(failure, context.run) ?? command };
}

/** The command as a person types it. */
export function commandLine(argv: readonly string[]): string {
  return ['dstack', ...argv].map(quoteWord).join(' ');
}

function quoteWord(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function hintFor(failure: Exclude<AttachFailure, { reason: 'port-in-use' }>, run: string): string {
  switch (failure.reason) {
    case 'port-not-exposed':
      return `The run doesn't expose port ${failure.port}: map only ports that its configuration names, as LOCAL:PORT_IN_THE_JOB.`;
    case 'run-not-found':
      return 'Look at the runs of this project with ps (all: true), and attach by the name shown there.';
    case 'run-ended':
      return `The run is ${failure.status}, so there is nothing to attach to. Read its logs, or plan and apply it again.`;
    case 'no-such-job':
      return `Look with get which replicas and jobs ${run} has, and name one of them.`;
    case 'not-provisioned':
      return 'The run has no machine yet. Wait with get until it is running, then attach again.';
    case 'no-connection':
      return `The machine doesn't answer over SSH. Look with get whether ${run} is still running; if it is, try again in a minute, and check that this computer may open SSH connections to the internet.`;
    case 'ssh-missing':
      return 'Install OpenSSH (Debian and Ubuntu: sudo apt install openssh-client; Windows: Git for Windows), make sure that `ssh` is on the PATH of this server, and attach again.';
    case 'git-missing':
      return 'dstack needs git. Install it, make sure that `git` is on the PATH of this server, and attach again.';
    case 'ssh-unsupported':
      return 'dstack needs OpenSSH 8.4 or later (on Windows the one of Git for Windows). Install it and attach again.';
    case 'ssh-key':
      return "The run was submitted with another person's or computer's SSH key. Attach from there, or submit the run again from here.";
    case 'no-permission':
      return `dstack can't write ${failure.path}. Give your user the right to it (look at its owner with the command below), then attach again.`;
    case 'server-unreachable':
      return 'The dstack server does not answer. Ask doctor which server is set and whether it can be reached.';
    case 'access-denied':
      return 'The dstack server refuses the token. A person has to renew it (dstack login, or dstack project add).';
    case 'other':
      return 'Read what dstack printed. A person can run the command in a terminal to see it at first hand.';
    default:
      return failure satisfies never;
  }
}

function commandFor(failure: AttachFailure, run: string): string | undefined {
  if (failure.reason === 'no-permission') return `ls -ld ${quoteWord(failure.path)}`;
  if (failure.reason === 'run-ended') return `dstack logs ${run}`;
  if (failure.reason === 'ssh-missing' || failure.reason === 'ssh-unsupported') return 'ssh -V';
  if (failure.reason === 'git-missing') return 'git --version';
  return failure.reason === 'run-not-found' ? 'dstack ps -a' : undefined;
}

async function adviseOnPort(port: number, { argv, run, knownPorts }: AdviceContext) {
  const remotePort = knownPorts.find(({ localPort }) => localPort === port)?.remotePort ?? port;
  const localPort = await findFreePort(port + 1);
  if (localPort === undefined) {
    return {
      hint: `Port ${port} is in use on this computer. End what uses it, then attach again.`,
      command: commandLine(argv),
    };
  }
  const mapping = `${localPort}:${remotePort}`;
  return {
    freeMapping: { localPort, remotePort },
    hint: `Port ${port} is in use on this computer (a port that was just released counts as used for about a minute). Attach again with the port mapping "${mapping}", or end what uses ${port}: it may be another attachment to ${run}, or a program of its own.`,
    command: commandLine([...withoutMapping(argv, remotePort), '--port', mapping]),
  };
}

/** Leaves out an earlier mapping of the same port in the job: dstack would take the last one. */
function withoutMapping(argv: readonly string[], remotePort: number): string[] {
  const isOld = (flag: string | undefined, value: string | undefined): boolean =>
    (flag === '--port' || flag === '-p') && value?.split(':').at(-1) === String(remotePort);
  return argv.filter((word, index) => !isOld(word, argv[index + 1]) && !isOld(argv[index - 1], word));
}

const PORTS_TO_TRY = 100;

/** The first port from `first` on that nothing listens on and no closed connection still holds. */
async function findFreePort(first: number): Promise<number | undefined> {
  const held = await readHeldPorts();
  for (let port = first; port < Math.min(first + PORTS_TO_TRY, 65_536); port += 1) {
    if (!held.has(port) && (await canListen(port))) return port;
  }
  return undefined;
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    // dstack tries all addresses, IPv4.
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Local ports of all TCP connections, in whatever state: dstack's test fails on one in TIME_WAIT, while a listen here would not. */
async function readHeldPorts(): Promise<Set<number>> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const ports = tables.join('\n').matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm);
  return new Set([...ports].map(([, port]) => Number.parseInt(port ?? '', 16)));
}

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
export type AttachFailure =
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
  /** The line that dstack prints if the run ends while it is attached (`Exited (0)`). */
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
  /^(?:Exited \(-?\d+\)|Stopped|Aborted|Terminated|Done|Failed|Error|No capacity|Interrupted)(?: \(.*\))?\s*$/;

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

/** Meaningful only after the process ended: a job may print the same text. */
function readFinished(jobLines: readonly string[]): string | undefined {
  return jobLines
    .slice(-8)
    .findLast((line) => FINISHED.test(line))
    ?.trim();
}

/** A local port that `dstack attach` forwards into the job. */
export interface ForwardedPort {
  readonly host: string;
  readonly localPort: number;
  readonly remotePort: number;
}

/** A link that opens the job in an editor. Printed by the job, so a person decides whether it is opened. */
export interface IdeLink {
  /** The link's scheme: `vscode`, `cursor`, `windsurf`, `zed`, ... */
  readonly scheme: string;
  readonly url: string;
}

/** Why dstack couldn't attach, as far as its own words tell. */
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
  | { readonly reason: 'other' };

/** Where dstack attached to. */
interface AttachTarget {
  readonly run: string;
  readonly replica: number;
  readonly job: number;
}

/** What the output of one `dstack attach` says. */
export interface AttachOutput {
  /** There once dstack attached. */
  readonly target?: AttachTarget;
  readonly sshAlias?: string;
  readonly ports: readonly ForwardedPort[];
  readonly ideLink?: IdeLink;
  /** dstack couldn't write `~/.ssh/config`: the alias works only with dstack's own SSH configuration. */
  readonly sshConfigNotWritten: boolean;
  /** dstack's last words, in one line: the error when it didn't attach. */
  readonly failure?: { readonly failure: AttachFailure; readonly words: string };
  /** The line that dstack prints when the run ended while it was attached (`Exited (0)`). */
  readonly finished?: string;
  readonly detached: boolean;
  /** dstack's own lines, and what the job printed after them. */
  readonly dstackSaid: string;
  readonly jobSaid: string;
}

const ATTACHED = /^Attached to run (\S+) \(replica=(\d+) job=(\d+)\)\s*$/;
const PORT = /^\s*- (\S+):(\d+) -> (\d+)\s*$/;
const ALIAS = /^To connect to the run via SSH, use `ssh ([^`\s]+)`/;
const END_OF_HEAD = /^Press Ctrl\+C to detach/;
const FINISHED =
  /^(?:Exited \(-?\d+\)|Stopped|Aborted|Terminated|Done|Failed|Error|No capacity|Interrupted)(?: \(.*\))?\s*$/;

/** In the order of the search: the first that fits a line of the output names the failure. */
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
  // GitPython, which dstack imports, ends it with a page of advice.
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
 * Reads what `dstack attach` printed. Ports and alias are taken only from dstack's own lines, which come before the job's; a link is
 * taken from the job's lines only when it points at this very alias.
 */
export function readAttachOutput(text: string): AttachOutput {
  const lines = text.split(/\r?\n/);
  const attachedAt = lines.findIndex((line) => ATTACHED.test(line));
  const sshConfigNotWritten = /Couldn't update `[^`]*` due to a permissions problem/.test(
    lines.slice(0, attachedAt === -1 ? lines.length : attachedAt).join('\n'),
  );
  const detached = lines.some((line) => /^Detached\s*$/.test(line));
  if (attachedAt === -1)
    return { ports: [], sshConfigNotWritten, detached, dstackSaid: text, jobSaid: '', ...readFailure(lines) };
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
    dstackSaid: lines.slice(0, head.end).join('\n'),
    jobSaid: jobLines.join('\n'),
    ...(head.alias === undefined ? {} : { sshAlias: head.alias }),
    ...(ideLink === undefined ? {} : { ideLink }),
    ...(finished === undefined ? {} : { finished }),
  };
}

/** dstack's own block, from "Attached to run" to "Press Ctrl+C". */
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

/** A line that is nothing but a link into this run by its alias, in an editor's own scheme. */
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
    // From the end: a traceback's last line is the error that ended dstack, not one that it handled.
    const words = lines.findLast((line) => pattern.test(line));
    const match = words === undefined ? null : pattern.exec(words);
    if (match !== null && words !== undefined) {
      return { failure: { failure: toFailure(match.slice(1)), words: words.trim() } };
    }
  }
  const words = lines.findLast((line) => line.trim() !== '');
  return words === undefined ? {} : { failure: { failure: { reason: 'other' }, words: words.trim() } };
}

/** A job may print the same words, so this counts only once the process is known to have ended. */
function readFinished(jobLines: readonly string[]): string | undefined {
  const said = jobLines.slice(-8).findLast((line) => FINISHED.test(line));
  return said?.trim();
}

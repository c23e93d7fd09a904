import { execa } from 'execa';
import { SetupError } from './setup-error.ts';

/** A Python that can make the private environment. */
export interface FoundPython {
  readonly command: readonly [string, ...string[]];
  readonly version: string;
}

/** What the sandbox needs of this machine: what was found, and what is missing with the way to get it. */
export interface Requirements {
  readonly python: FoundPython | undefined;
  readonly missing: readonly SetupError[];
}

const CANDIDATES: readonly (readonly [string, ...string[]])[] =
  process.platform === 'win32'
    ? [['py', '-3'], ['python'], ['python3']]
    : [['python3.13'], ['python3.12'], ['python3.11'], ['python3.10'], ['python3'], ['python']];

/** ensurepip is what Debian leaves out with python3-venv; the architecture tells nothing that pip doesn't say better. */
const PROBE = [
  'import sys, importlib.util as u',
  'print("%d.%d.%d" % sys.version_info[:3])',
  'print(bool(u.find_spec("venv") and u.find_spec("ensurepip")))',
].join('\n');

/** Looks for what the sandbox needs of this machine; nothing is installed. */
export async function findMissing(options: { readonly env?: NodeJS.ProcessEnv } = {}): Promise<Requirements> {
  const { env = process.env } = options;
  const [python, ssh, keygen] = await Promise.all([
    findPython(env),
    canStart('ssh', ['-V'], env),
    // Without a file to read it ends with an error, which is all the same here.
    canStart('ssh-keygen', ['-l', '-f', ''], env),
  ]);
  const missing = python instanceof SetupError ? [python] : [];
  if (!ssh || !keygen) {
    const names = [...(ssh ? [] : ['ssh']), ...(keygen ? [] : ['ssh-keygen'])].join(' and ');
    missing.push(new SetupError(`The OpenSSH client is missing: no ${names} on PATH.`, installHint(OPENSSH)));
  }
  return { python: python instanceof SetupError ? undefined : python, missing };
}

interface ProbedPython extends FoundPython {
  readonly hasVenv: boolean;
}

async function findPython(env: NodeJS.ProcessEnv): Promise<FoundPython | SetupError> {
  const probed = await Promise.all(CANDIDATES.map((command) => probePython(command, env)));
  const found = probed.filter((python) => python !== undefined);
  const recent = found.filter(({ version }) => isRecent(version));
  const usable = recent.find(({ hasVenv }) => hasVenv);
  if (usable !== undefined) return usable;
  const [withoutVenv] = recent;
  if (withoutVenv !== undefined) {
    const name = `${withoutVenv.command.join(' ')} (${withoutVenv.version})`;
    return new SetupError(`${name} can't make an environment: its venv module is missing.`, installHint(VENV));
  }
  const seen = found.map(({ command, version }) => `${command.join(' ')} is ${version}`).join(', ');
  return new SetupError(
    `dstack needs Python 3.10 or later; ${seen === '' ? 'none was found on PATH' : seen}.`,
    installHint(PYTHON),
  );
}

async function probePython(
  command: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
): Promise<ProbedPython | undefined> {
  const [file, ...args] = command;
  const result = await execa(file, [...args, '-c', PROBE], {
    env,
    extendEnv: false,
    reject: false,
    timeout: 20_000,
    stdin: 'ignore',
  });
  const [version, hasVenv] = result.failed ? [] : result.stdout.split(/\r?\n/);
  return version === undefined ? undefined : { command, version, hasVenv: hasVenv === 'True' };
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === 3 && minor >= 10;
}

async function canStart(file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  const result = await execa(file, args, { env, extendEnv: false, reject: false, timeout: 20_000, stdin: 'ignore' });
  return result.exitCode !== undefined;
}

type Remedy = Readonly<Record<'linux' | 'darwin' | 'win32', string>>;

const PYTHON: Remedy = {
  linux:
    'Install it: "apt install python3 python3-venv" (Debian, Ubuntu), "dnf install python3.12" (Fedora, RHEL), or "uv python install 3.12".',
  darwin: 'Install it: "brew install python@3.12".',
  win32: 'Install it: "winget install Python.Python.3.12".',
};
const VENV: Remedy = {
  linux: 'Install it: "apt install python3-venv" (Debian, Ubuntu).',
  darwin: 'Install a whole Python: "brew install python@3.12".',
  win32: 'Install a whole Python: "winget install Python.Python.3.12".',
};
const OPENSSH: Remedy = {
  linux: 'Install it: "apt install openssh-client" (Debian, Ubuntu) or "dnf install openssh-clients" (Fedora, RHEL).',
  darwin: 'It is part of macOS: see that /usr/bin is on PATH.',
  win32: 'Turn on the Windows feature "OpenSSH Client" (Settings, System, Optional features).',
};

function installHint(remedy: Remedy): string {
  const { platform } = process;
  return platform === 'darwin' || platform === 'win32' ? remedy[platform] : remedy.linux;
}

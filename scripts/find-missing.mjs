// @ts-check
// Finds missing requirements of the sandbox, with install hints. Plain JavaScript without dependencies, because it runs before any are
// installed.
import { spawn } from 'node:child_process';

/**
 * @typedef {readonly [string, ...string[]]} Command
 * @typedef {{ readonly command: Command, readonly version: string }} FoundPython A Python that can create a virtual environment.
 * @typedef {{ readonly message: string, readonly hint: string }} Missing A missing requirement with an install hint.
 * @typedef {{ readonly python: FoundPython | undefined, readonly missing: readonly Missing[] }} Requirements
 * @typedef {Readonly<Record<string, string | undefined>>} Environment
 */

/** @type {readonly Command[]} */
const CANDIDATES =
  process.platform === 'win32'
    ? [['py', '-3'], ['python'], ['python3']]
    : [['python3.13'], ['python3.12'], ['python3.11'], ['python3.10'], ['python3'], ['python']];

// Debian packages ensurepip separately, in python3-venv.
const PROBE = [
  'import sys, importlib.util as u',
  'print("%d.%d.%d" % sys.version_info[:3])',
  'print(bool(u.find_spec("venv") and u.find_spec("ensurepip")))',
].join('\n');

/** Timeout of a version check; the first start of Python from a cold disk takes seconds. */
const PROBE_MS = 20_000;

/**
 * Looks for git, the OpenSSH client and, unless `python` is false, Python. Installs nothing.
 * @param {{ readonly env?: Environment, readonly python?: boolean }} [options]
 * @returns {Promise<Requirements>}
 */
export async function findMissing({ env = process.env, python: wantsPython = true } = {}) {
  const [{ python, problem }, git, ssh, keygen] = await Promise.all([
    wantsPython ? findPython(env) : { python: undefined, problem: undefined },
    canStart(['git', '--version'], env),
    canStart(['ssh', '-V'], env),
    // It fails without a file, but it starts.
    canStart(['ssh-keygen', '-l', '-f', ''], env),
  ]);
  const missing = problem === undefined ? [] : [problem];
  if (!git) missing.push({ message: 'git is missing: dstack needs it on PATH.', hint: installHint(GIT) });
  if (!ssh || !keygen) {
    const names = [...(ssh ? [] : ['ssh']), ...(keygen ? [] : ['ssh-keygen'])].join(' and ');
    missing.push({ message: `The OpenSSH client is missing: no ${names} on PATH.`, hint: installHint(OPENSSH) });
  }
  return { python, missing };
}

/**
 * @param {Environment} env
 * @returns {Promise<{ python?: FoundPython, problem?: Missing }>}
 */
async function findPython(env) {
  const probed = await Promise.all(CANDIDATES.map((command) => probePython(command, env)));
  const found = probed.filter((python) => python !== undefined);
  const recent = found.filter(({ version }) => isRecent(version));
  const usable = recent.find(({ hasVenv }) => hasVenv);
  if (usable !== undefined) return { python: { command: usable.command, version: usable.version } };
  const [withoutVenv] = recent;
  if (withoutVenv !== undefined) {
    const name = `${withoutVenv.command.join(' ')} (${withoutVenv.version})`;
    const message = `${name} can't create a virtual environment: its venv module is missing.`;
    return { problem: { message, hint: installHint(VENV) } };
  }
  const seen = found.map(({ command, version }) => `${command.join(' ')} is ${version}`).join(', ');
  const message = `dstack needs Python 3.10 or later; ${seen === '' ? 'none was found on PATH' : seen}.`;
  return { problem: { message, hint: installHint(PYTHON) } };
}

/**
 * @param {Command} command
 * @param {Environment} env
 * @returns {Promise<FoundPython & { readonly hasVenv: boolean } | undefined>}
 */
async function probePython(command, env) {
  const result = await start([...command, '-c', PROBE], env);
  if (result.code !== 0) return undefined;
  const [version, hasVenv] = result.stdout.split(/\r?\n/);
  return version === undefined ? undefined : { command, version, hasVenv: hasVenv === 'True' };
}

/** @param {string} version */
function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === 3 && minor >= 10;
}

/**
 * @param {Command} command
 * @param {Environment} env
 */
async function canStart(command, env) {
  return (await start(command, env)).code !== undefined;
}

/**
 * Runs a program. The code is `undefined` if it can't be started or doesn't end.
 * @param {Command} command
 * @param {Environment} env
 * @returns {Promise<{ code: number | undefined, stdout: string }>}
 */
function start([file, ...args], env) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
    // spawn's own timeout would keep this process alive if the program can't be started.
    const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_MS);
    /** @param {number | null} code */
    const end = (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? undefined, stdout });
    };
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.once('error', () => end(null));
    child.once('close', end);
  });
}

/** @typedef {Readonly<Record<'linux' | 'darwin' | 'win32', string>>} Remedy */

/** @type {Remedy} */
const PYTHON = {
  linux:
    'Install it: "apt install python3 python3-venv" (Debian, Ubuntu), "dnf install python3.12" (Fedora, RHEL), or "uv python install 3.12".',
  darwin: 'Install it: "brew install python@3.12".',
  win32: 'Install it: "winget install Python.Python.3.12".',
};
/** @type {Remedy} */
const VENV = {
  linux: 'Install it: "apt install python3-venv" (Debian, Ubuntu).',
  darwin: 'Install a complete Python: "brew install python@3.12".',
  win32: 'Install a complete Python: "winget install Python.Python.3.12".',
};
/** @type {Remedy} */
const GIT = {
  linux: 'Install it: "apt install git" (Debian, Ubuntu) or "dnf install git" (Fedora, RHEL).',
  darwin: 'Install it: "xcode-select --install".',
  win32: 'Install it: "winget install Git.Git".',
};
/** @type {Remedy} */
const OPENSSH = {
  linux: 'Install it: "apt install openssh-client" (Debian, Ubuntu) or "dnf install openssh-clients" (Fedora, RHEL).',
  darwin: 'It is part of macOS: add /usr/bin to PATH.',
  win32: 'Turn on the Windows feature "OpenSSH Client" (Settings, System, Optional features).',
};

/** @param {Remedy} remedy */
function installHint(remedy) {
  const { platform } = process;
  return platform === 'darwin' || platform === 'win32' ? remedy[platform] : remedy.linux;
}

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { execa } from 'execa';
import { findMissing } from '../scripts/find-missing.mjs';
import type { FoundPython } from '../scripts/find-missing.mjs';
import { withLock } from '../src/core/exclusive-lock.mjs';
import { findServerFile } from './server-file.ts';
import { SetupError } from './setup-error.ts';
import type { OnProgress } from './show-progress.ts';

/** The dstack version that the sandbox uses. */
export const DSTACK_VERSION = '0.22.5';

/** An older version, whose CLI is tested as well. */
export const OLDER_DSTACK_VERSION = '0.21.5';

export interface PythonEnvironmentOptions {
  /** The folder of the environment. */
  readonly folder: string;
  /** Defaults to DSTACK_VERSION. Packages are pinned for DSTACK_VERSION and OLDER_DSTACK_VERSION only. */
  readonly version?: string;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

const STAMP = 'dstack-sandbox.stamp';

/** An installation takes a minute, or several with a slow network. */
const LOCK_MS = 30 * 60_000;

/**
 * Creates a Python environment with dstack[server] and pinned packages, unless `folder` contains a complete one. Recreates an
 * environment whose installation was interrupted.
 */
export async function preparePythonEnvironment(options: PythonEnvironmentOptions): Promise<void> {
  const { onProgress = () => undefined, signal, version = DSTACK_VERSION } = options;
  const folder = path.resolve(options.folder);
  const pins = await readPins(version);
  const wanted = createHash('sha256').update(version).update(pins).digest('hex');
  if (await isComplete(folder, wanted)) return;
  const onWait = (): void => onProgress('waiting for another process that is installing dstack…');
  const locked = await withLock(`${folder}.lock`, { deadlineMs: LOCK_MS, signal, onWait }, async () => {
    if (await isComplete(folder, wanted)) return;
    await install({ folder, version, pins, onProgress, signal });
    await writeFile(path.join(folder, STAMP), wanted);
  });
  if (locked !== undefined) return;
  throw new SetupError(
    'Another process has been installing dstack for 30 minutes.',
    'Wait for it or stop it, then run the same command again.',
  );
}

/** Checks the stamp, which is written last, and the executables, which break when the folder is moved or Python is removed. */
async function isComplete(folder: string, wanted: string): Promise<boolean> {
  const stamp = await readFile(path.join(folder, STAMP), 'utf8').catch(() => undefined);
  return (
    stamp === wanted &&
    existsSync(pythonOf(folder)) &&
    existsSync(path.join(path.dirname(pythonOf(folder)), executable('dstack')))
  );
}

interface InstallOptions {
  readonly folder: string;
  readonly version: string;
  /** One line per package. Empty if no packages are pinned. */
  readonly pins: string;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal | undefined;
}

async function install({ folder, version, pins, onProgress, signal }: InstallOptions): Promise<void> {
  const { python, missing } = await findMissing();
  const [first] = missing;
  if (first !== undefined) throw new SetupError(first.message, first.hint);
  if (python === undefined) throw new SetupError('Python was not found.', 'Install Python 3.10 or later.');
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.dirname(folder), { recursive: true });
  const startedAt = Date.now();
  let share = 0;
  const report = () => {
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    onProgress(`installing dstack ${version} into a private environment… ${seconds} s`, share);
  };
  report();
  const timer = setInterval(report, 1000);
  const expected = (await readFile(findServerFile('constraints.txt'), 'utf8')).trim().split('\n').length;
  try {
    await createVenv(python, { folder, version, signal });
    const constraints = path.join(folder, 'constraints.txt');
    await writeFile(constraints, pins);
    await runStep(pythonOf(folder), pipArguments(version, constraints), {
      version,
      signal,
      onLine(line) {
        // pip prints a line per download. Unpacking all packages takes about as long again.
        if (line.startsWith('Collecting ')) share = Math.min(0.6, share + 0.6 / expected);
        if (line.startsWith('Installing collected packages')) share = 0.7;
      },
    });
  } finally {
    clearInterval(timer);
  }
}

async function createVenv(
  { command: [file, ...args] }: FoundPython,
  { folder, ...options }: { folder: string } & Omit<StepOptions, 'onLine'>,
): Promise<void> {
  await runStep(file, [...args, '-m', 'venv', folder], { ...options, onLine: () => undefined });
}

/** Reads the pinned packages of a dstack version. The older version shares them, except dstack itself and gpuhunt, which dstack pins. */
async function readPins(version: string): Promise<string> {
  if (version !== DSTACK_VERSION && version !== OLDER_DSTACK_VERSION) return '';
  const pins = await readFile(findServerFile('constraints.txt'), 'utf8');
  return version === DSTACK_VERSION ? pins : pins.replaceAll(/^(?:dstack|gpuhunt)==.*\n/gm, '');
}

function pipArguments(version: string, constraints: string): string[] {
  const quiet = ['--progress-bar', 'off', '--disable-pip-version-check', '--no-input'];
  // Source packages that need a compiler fail late and without a helpful message. These two are pure Python without wheels.
  const binary = ['--only-binary', ':all:', '--no-binary', 'cursor,www-authenticate'];
  return ['-m', 'pip', 'install', ...quiet, ...binary, '--constraint', constraints, `dstack[server]==${version}`];
}

interface StepOptions {
  readonly version: string;
  readonly signal: AbortSignal | undefined;
  readonly onLine: (line: string) => void;
}

async function runStep(file: string, args: readonly string[], options: StepOptions): Promise<void> {
  const { version, signal, onLine } = options;
  const result = await execa(file, args, {
    reject: false,
    stdin: 'ignore',
    all: true,
    *stdout(line: unknown) {
      onLine(String(line));
      yield line;
    },
    // The caller's Python settings must not leak in.
    env: {
      PYTHONHOME: undefined,
      PYTHONPATH: undefined,
      PIP_USER: undefined,
      PIP_TARGET: undefined,
      PIP_REQUIRE_VIRTUALENV: undefined,
    },
    ...(signal !== undefined && { cancelSignal: signal }),
  });
  signal?.throwIfAborted();
  if (!result.failed) return;
  const output = result.all.trim().split('\n').slice(-12).join('\n');
  throw new SetupError(
    `dstack ${version} could not be installed: ${result.shortMessage}\n${output}`,
    'Check that the Python package index is reachable, then try again. The next attempt removes the incomplete installation.',
  );
}

function pythonOf(folder: string): string {
  return path.join(folder, process.platform === 'win32' ? 'Scripts' : 'bin', executable('python'));
}

function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name;
}

import { mkdir, rm, rmdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { withLock } from '../src/core/exclusive-lock.mjs';
import { writeExamples } from './example-workspace.ts';
import { findInstalledDstack } from './installed-dstack.ts';
import { preparePythonEnvironment } from './python-environment.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';
import { SetupError } from './setup-error.ts';
import { showProgress } from './show-progress.ts';

export { runDemo } from './demo.ts';
export { OLDER_DSTACK_VERSION, preparePythonEnvironment } from './python-environment.ts';
export { startSandbox } from './sandbox.ts';
export { showProgress } from './show-progress.ts';

/** Paths at which clients find the sandbox, the same each time it starts. */
export interface ClientPlace {
  readonly folder: string;
  /** Held as long as the sandbox runs. */
  readonly lockFile: string;
  /** The CLI's home folder. */
  readonly home: string;
  /** A link to the folder of the dstack executable. */
  readonly binFolder: string;
  readonly cli: string;
}

export interface SandboxCommandOptions {
  readonly print: (line: string) => void;
  /** Stops the sandbox. */
  readonly signal: AbortSignal;
  readonly place: ClientPlace;
  /** The path of the server's script. */
  readonly server: string;
  /** The command that starts this program. */
  readonly command: string;
  /** The folder for the Python environment and the template database. */
  readonly cacheFolder: string;
}

/**
 * Runs a sandbox until the signal aborts, and prints how to connect an MCP client to it. Leaves nothing behind but the cache.
 * @throws SetupError if another one is running: clients find only one
 */
export async function runSandboxCommand(options: SandboxCommandOptions): Promise<void> {
  const { place } = options;
  try {
    const ran = await withLock(place.lockFile, { deadlineMs: 0 }, () => runAlone(options));
    if (ran === undefined)
      throw new SetupError(
        'A sandbox is already running on this computer. Nothing was started.',
        'Use that one, or stop it first: press Ctrl+C where it runs.',
      );
  } finally {
    // Not if it has the state of a server.
    await rmdir(place.folder).catch(() => undefined);
    await rmdir(path.dirname(place.folder)).catch(() => undefined);
  }
}

async function runAlone(options: SandboxCommandOptions): Promise<void> {
  const { print, signal, place, cacheFolder } = options;
  const pythonEnvironment = path.join(cacheFolder, 'python');
  const display = showProgress(print, process.stderr);
  try {
    await preparePythonEnvironment({ folder: pythonEnvironment, onProgress: display.onProgress, signal });
    display.end();
    await createPlace(place, pythonEnvironment);
    const { home } = place;
    const sandbox = await startSandbox({ pythonEnvironment, cacheFolder, home, onProgress: print, signal });
    try {
      await printInstructions(sandbox, options);
      await untilAborted(signal);
      print('stopping the sandbox…');
    } finally {
      await sandbox.stop();
    }
  } catch (error) {
    // Stopped by the user while it started.
    if (!signal.aborted) throw error;
  } finally {
    display.end();
    await rm(place.home, { recursive: true, force: true });
  }
}

/** Creates the home folder, without what a killed sandbox left in it, with a link to the installed dstack. */
async function createPlace({ home, binFolder: link }: ClientPlace, pythonEnvironment: string): Promise<void> {
  const { binFolder } = await findInstalledDstack(pythonEnvironment);
  await rm(home, { recursive: true, force: true });
  await mkdir(home, { recursive: true, mode: 0o700 });
  await symlink(binFolder, link, 'junction');
}

async function printInstructions(
  { url, workspace, isolation }: Sandbox,
  { print, place, server, command, cacheFolder }: SandboxCommandOptions,
): Promise<void> {
  const examples = await writeExamples(workspace);
  const stateDir = process.env['DSTACK_MCP_STATE_DIR'];
  const entry = {
    command: process.execPath,
    args: [server],
    env: { DSTACK_MCP_SANDBOX: 'on', ...(stateDir && { DSTACK_MCP_STATE_DIR: stateDir }) },
  };
  const lines = [
    '',
    `A real dstack server is running at ${url}. Its machines are simulated, so nothing costs money.`,
    isolation.kind === 'none'
      ? `\`ssh <run>\` answers only a few simulated commands: this system can't isolate real ones (${isolation.reason}).`
      : '`ssh <run>` runs commands for real, isolated from your files and the network.',
    '',
    'To connect an MCP client, run this in another terminal, once; it works again whenever a sandbox runs:',
    `  ${command} setup <client> --sandbox`,
    'Or add this to its configuration:',
    JSON.stringify({ mcpServers: { 'dstack-sandbox': entry } }, undefined, 2),
    '',
    `Example configurations in ${workspace}: ${examples.join(', ')}.`,
    'A first prompt: "Plan train.dstack.yml. What would it cost?"',
    `To use the dstack CLI directly: HOME=${place.home} ${place.cli} ps`,
    '',
    'Press Ctrl+C to stop. All files are removed but the installed dstack (268 MB), for faster starts;',
    `to free its space, remove ${cacheFolder}.`,
  ];
  for (const line of lines) print(line);
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  // The sandbox's sockets keep the process running; a listener alone wouldn't.
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

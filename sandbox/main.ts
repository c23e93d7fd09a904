import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { writeExamples } from './example-workspace.ts';
import { preparePythonEnvironment } from './python-environment.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';
import { showProgress } from './show-progress.ts';

export { runDemo } from './demo.ts';
export { OLDER_DSTACK_VERSION, preparePythonEnvironment } from './python-environment.ts';
export { startSandbox } from './sandbox.ts';
export { showProgress } from './show-progress.ts';

export interface SandboxCommandOptions {
  readonly print: (line: string) => void;
  /** The sandbox runs until it is aborted. */
  readonly signal: AbortSignal;
  /** Where the Python environment and the database to start from are kept. */
  readonly cacheFolder?: string;
}

/** Starts a sandbox, says how to point an MCP client at it, and keeps it running until the signal; then nothing is left of it. */
export async function runSandboxCommand({
  print,
  signal,
  cacheFolder = findCacheFolder(),
}: SandboxCommandOptions): Promise<void> {
  const pythonEnvironment = path.join(cacheFolder, 'python');
  const display = showProgress(print, process.stderr);
  try {
    await preparePythonEnvironment({ folder: pythonEnvironment, onProgress: display.onProgress, signal });
    display.end();
    const sandbox = await startSandbox({ pythonEnvironment, cacheFolder, onProgress: print, signal });
    try {
      await describe(sandbox, print);
      await untilAborted(signal);
      print('ending the sandbox…');
    } finally {
      await sandbox.stop();
    }
  } catch (error) {
    // Ended while it started: that was wanted.
    if (!signal.aborted) throw error;
  } finally {
    display.end();
  }
}

/** Finds where the sandbox keeps what is expensive to make: in a checkout beside its code, else in the user's cache. */
export function findCacheFolder(): string {
  const checkout = fileURLToPath(new URL('../.cache', import.meta.url));
  return existsSync(checkout) ? checkout : envPaths('dstack-mcp', { suffix: '' }).cache;
}

async function describe({ url, env, home, workspace, cli }: Sandbox, print: (line: string) => void): Promise<void> {
  const examples = await writeExamples(workspace);
  const server = {
    command: process.execPath,
    args: [findServer()],
    env: {
      HOME: home,
      USERPROFILE: home,
      PATH: env['PATH'] ?? '',
      DSTACK_MCP_CLI: cli,
      DSTACK_MCP_WORKSPACE: workspace,
    },
  };
  print('');
  print(`A real dstack server runs at ${url}, over simulated machines: nothing costs money.`);
  print('Point an MCP client at it with:');
  print('');
  print(JSON.stringify({ mcpServers: { 'dstack-sandbox': server } }, undefined, 2));
  print('');
  print(`Examples are in ${workspace}: ${examples.join(', ')}.`);
  print('Ask for instance: "Plan train.dstack.yml. What would it cost?"');
  print(`The command line: HOME=${home} ${cli} ps`);
  print('Press Ctrl+C to end it; everything of it is removed.');
}

function findServer(): string {
  const candidates = ['./dstack-mcp.mjs', '../dist/dstack-mcp.mjs'].map((file) =>
    fileURLToPath(new URL(file, import.meta.url)),
  );
  return candidates.find(existsSync) ?? 'dstack-mcp';
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  // A listener alone doesn't keep the process running; the sandbox's own sockets do.
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

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
  /** Stops the sandbox. */
  readonly signal: AbortSignal;
  /** The folder for the Python environment and the template database. */
  readonly cacheFolder?: string;
}

/** Runs a sandbox until the signal aborts, and prints how to connect an MCP client to it. Leaves nothing behind. */
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
      print(`For faster starts, dstack stays installed in ${cacheFolder}; remove that folder to free its space.`);
      await printInstructions(sandbox, print);
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
  }
}

/** Returns the cache folder: `.cache` in a checkout, otherwise the user's cache folder. */
export function findCacheFolder(): string {
  const checkout = fileURLToPath(new URL('../.cache', import.meta.url));
  return existsSync(checkout) ? checkout : envPaths('dstack-mcp', { suffix: '' }).cache;
}

async function printInstructions(
  { url, env, home, workspace, cli }: Sandbox,
  print: (line: string) => void,
): Promise<void> {
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
  print(`A real dstack server is running at ${url}. Its machines are simulated, so nothing costs money.`);
  print('To connect an MCP client, add this to its configuration:');
  print('');
  print(JSON.stringify({ mcpServers: { 'dstack-sandbox': server } }, undefined, 2));
  print('');
  print(`Example configurations in ${workspace}: ${examples.join(', ')}.`);
  print('A first prompt: "Plan train.dstack.yml. What would it cost?"');
  print(`To use the dstack CLI directly: HOME=${home} ${cli} ps`);
  print('Press Ctrl+C to stop; all files are removed.');
}

function findServer(): string {
  const candidates = ['./dstack-mcp.mjs', '../dist/dstack-mcp.mjs'].map((file) =>
    fileURLToPath(new URL(file, import.meta.url)),
  );
  return candidates.find(existsSync) ?? 'dstack-mcp';
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  // The sandbox's sockets keep the process running; a listener alone wouldn't.
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

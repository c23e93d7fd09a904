import path from 'node:path';
import { preparePythonEnvironment } from '../sandbox/python-environment.ts';
import { startSandbox } from '../sandbox/sandbox.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

const root = path.resolve(import.meta.dirname, '..');

/** Path of the built server. */
export const serverFile = path.join(root, 'dist', 'dstack-mcp.mjs');

/** Starts the sandbox with this clone's private Python environment, which is created if it is missing. */
export async function startLocalSandbox(onProgress: (line: string) => void, signal?: AbortSignal): Promise<Sandbox> {
  const cacheFolder = path.join(root, '.cache');
  const pythonEnvironment = path.join(cacheFolder, 'python');
  const options = { onProgress, ...(signal === undefined ? {} : { signal }) };
  await preparePythonEnvironment({ folder: pythonEnvironment, ...options });
  return startSandbox({ pythonEnvironment, cacheFolder, ...options });
}

/** Returns the environment of a server that talks to the sandbox and has its own state folder. */
export function serverEnv(sandbox: Sandbox, stateDir = path.join(sandbox.home, 'state')): Record<string, string> {
  return {
    ...sandbox.env,
    DSTACK_MCP_CLI: sandbox.cli,
    DSTACK_MCP_WORKSPACE: sandbox.workspace,
    DSTACK_MCP_STATE_DIR: stateDir,
    DSTACK_MCP_DIALOG: 'off',
  };
}

import path from 'node:path';
import { canAccess } from '../core/paths.ts';
import { ToolError } from '../core/errors.ts';
import { isLocked } from '../core/exclusive-lock.mjs';
import { sandboxCommand } from './installation.ts';

/** Paths at which clients find the sandbox of this computer, the same each time it starts. */
export interface SandboxPlace {
  readonly folder: string;
  /** Held as long as the sandbox runs. */
  readonly lockFile: string;
  /** The CLI's home folder. It is removed with the sandbox. */
  readonly home: string;
  /** The folder of the dstack executable. */
  readonly binFolder: string;
  readonly cli: string;
  /** The folder with the example configurations. */
  readonly workspace: string;
  /** The state of the servers that use the sandbox. It outlives the sandbox, as the state folder outlives a server. */
  readonly stateDir: string;
}

/** Returns the sandbox's place in a state folder. */
export function sandboxPlace(stateDir: string): SandboxPlace {
  const folder = path.join(stateDir, 'sandbox');
  const home = path.join(folder, 'home');
  const binFolder = path.join(home, 'bin');
  return {
    folder,
    lockFile: path.join(folder, 'running.lock'),
    home,
    binFolder,
    cli: path.join(binFolder, process.platform === 'win32' ? 'dstack.exe' : 'dstack'),
    workspace: path.join(home, 'workspace'),
    stateDir: path.join(folder, 'state'),
  };
}

/** Returns an environment in which dstack uses the sandbox: its home folder, and none of the caller's own servers and proxies. */
export function sandboxEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  { home, binFolder }: SandboxPlace,
): Record<string, string | undefined> {
  const others = Object.entries(env).filter(([name]) => !/^(?:DSTACK_(?!MCP_)\w+|(?:HTTPS?|ALL)_PROXY)$/i.test(name));
  return {
    ...Object.fromEntries(others),
    HOME: home,
    USERPROFILE: home,
    PATH: [binFolder, env['PATH'] ?? ''].join(path.delimiter),
  };
}

/** @throws ToolError `sandbox-ended` if the sandbox doesn't run, or isn't ready yet */
export async function assertSandboxRuns({ lockFile, home }: SandboxPlace): Promise<void> {
  // Written once its server is ready. A sandbox that was killed may have left it behind.
  const isConfigured = await canAccess(path.join(home, '.dstack', 'config.yml'));
  if (isConfigured && (await isLocked(lockFile))) return;
  throw new ToolError(
    'sandbox-ended',
    "This sandbox has ended, or isn't ready yet. Nothing was run.",
    `Run ${sandboxCommand()} and keep it running, then try again.`,
  );
}

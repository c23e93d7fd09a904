import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { lookUpProcess } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { MARKER_VARIABLE } from './ssh-tunnel.ts';

export interface SpawnOptions {
  readonly executable: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly marker: string;
  readonly outputFile: string;
}

// One line of dstack's stays one line: what is longer would be wrapped, and no longer be recognised.
const WIDE = { COLUMNS: '1000', NO_COLOR: '1', PYTHONUNBUFFERED: '1', TERM: 'dumb' };

/**
 * Starts `dstack attach` as the leader of a group of its own, with nothing on standard input and its output appended to a file; it goes
 * on when this process ends. Undefined when it had ended before it could be looked at.
 * @throws ToolError `cli-not-found` when it can't be started.
 */
export async function spawnAttach(options: SpawnOptions): Promise<ProcessIdentity | undefined> {
  await mkdir(path.dirname(options.outputFile), { recursive: true, mode: 0o700 });
  await rm(options.outputFile, { force: true });
  // For appending: rotation cuts the file under the writer.
  const output = await open(options.outputFile, 'ax', 0o600);
  try {
    // Not through execa, which takes no descriptor of a file: a pipe would tie the child to this process.
    const child = spawn(options.executable, options.argv, {
      cwd: options.cwd,
      env: { ...options.env, ...WIDE, [MARKER_VARIABLE]: options.marker },
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
      windowsHide: true,
    });
    child.unref();
    await once(child, 'spawn');
    const facts = child.pid === undefined ? undefined : await lookUpProcess(child.pid);
    return facts === undefined ? undefined : { pid: facts.pid, startedAt: facts.startedAt };
  } catch (error) {
    throw new ToolError(
      'cli-not-found',
      `The dstack CLI could not be started (${options.executable}): ${String(error)}. Nothing was attached.`,
      'Ask doctor which executable is used; DSTACK_MCP_CLI sets it.',
      { cause: error },
    );
  } finally {
    await output.close();
  }
}

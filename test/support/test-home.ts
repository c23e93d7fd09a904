import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { AtEnd } from './connect.ts';
import { createHome, skipUpdateCheck } from '../../sandbox/create-home.ts';
import { usedNames } from './used-names.ts';

/** A user's home folder for one test: CLI settings, workspace and server state, for the shared sandbox. */
export interface TestHome {
  readonly home: string;
  readonly workspace: string;
  readonly stateDir: string;
  /** The environment of an MCP server in this home. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes a configuration into the workspace and returns its name. */
  write(name: string, configuration: Readonly<Record<string, unknown>> | string): Promise<string>;
}

/** Creates a home folder that is removed after the test. */
export async function createTestHome(options: { url?: string; token?: string; atEnd?: AtEnd } = {}): Promise<TestHome> {
  const sandbox = inject('sandbox');
  const home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-home-'));
  (options.atEnd ?? onTestFinished)(() => rm(home, { recursive: true, force: true, maxRetries: 3 }));
  const { url = sandbox.url, token = sandbox.token } = options;
  const made = await createHome({ home, url, token, project: 'main', binFolder: path.dirname(sandbox.cli) });
  await skipUpdateCheck(home);
  const stateDir = path.join(home, 'state');
  const warm = process.env['DSTACK_TEST_WARM'];
  await cp(sandbox.preparedState, stateDir, { recursive: true });
  return {
    home,
    workspace: made.workspace,
    stateDir,
    env: {
      ...made.env,
      DSTACK_MCP_CLI: sandbox.cli,
      DSTACK_MCP_WORKSPACE: made.workspace,
      DSTACK_MCP_STATE_DIR: stateDir,
      DSTACK_MCP_DIALOG: 'off',
      // A busy machine may need more time than the default.
      DSTACK_MCP_TIMEOUT: '100',
      ...(warm === undefined ? {} : { DSTACK_MCP_WARM: warm }),
    },
    async write(name, configuration) {
      const text = typeof configuration === 'string' ? configuration : stringify(configuration);
      await writeFile(path.join(made.workspace, name), text);
      return name;
    },
  };
}

/** Returns a task that fits the sandbox's smallest machines. */
export function task(name: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    type: 'task',
    name,
    commands: ['echo the first line', 'sleep infinity'],
    resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
    ...more,
  };
}

/** Returns a name that no other test uses, since dstack keeps names permanently. */
export function uniqueName(prefix: string): string {
  const name = `${prefix}-${process.pid.toString(36)}-${usedNames.length + 1}`;
  usedNames.push(name);
  return name;
}

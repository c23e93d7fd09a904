import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createHome } from '../../sandbox/create-home.ts';
import { createRestClient } from '../../sandbox/rest-client.ts';
import { processesIn } from '../../test/support/processes.ts';
import type { Host } from './hosts.ts';
import type { PlayOptions } from './play-host.ts';
import { LOG_LINES, logLine } from './round.ts';
import type { Played } from './round.ts';

/** The sandbox that the hosts' servers use, and what they are started with. */
export interface Surroundings {
  readonly url: string;
  readonly token: string;
  readonly cli: string;
  /** The built server. */
  readonly server: string;
  /** An empty folder. */
  readonly folder: string;
}

/** One turn of a host: its folders, its server's settings, and the run that it is about. */
export interface Turn {
  readonly options: Omit<PlayOptions, 'script'>;
  readonly played: Played;
  readonly run: string;
  /** The home folder of the server and of what it starts. */
  readonly home: string;
  readonly stateDir: string;
}

/** The time limit for the end of a server after its host. A limit against hangs. */
const END_MS = 10_000;

/** Prepares the turns of one host. */
export function createTurns(host: Pick<Host, 'id'>, program: string, around: Surroundings) {
  const request = createRestClient(around.url, around.token);
  return {
    async prepare(label: string, settings: Readonly<Record<string, string>>): Promise<Turn> {
      const folder = path.join(around.folder, `${host.id}-${label}`);
      const run = `${host.id}-${label}-${process.pid.toString(36)}`;
      const { url, token, cli } = around;
      const home = path.join(folder, 'dstack');
      const made = await createHome({ home, url, token, project: 'main', binFolder: path.dirname(cli) });
      await mkdir(path.join(folder, 'home'), { recursive: true });
      await writeFile(path.join(made.workspace, `${run}.dstack.yml`), stringify(configurationOf(run)));
      const stateDir = path.join(home, 'state');
      const serverEnv = {
        ...made.env,
        DSTACK_MCP_CLI: cli,
        DSTACK_MCP_WORKSPACE: made.workspace,
        DSTACK_MCP_STATE_DIR: stateDir,
        DSTACK_MCP_DIALOG: 'off',
        ...settings,
      };
      const played: Played = { tools: new Set(), calls: [] };
      return { options: { program, folder, server: around.server, serverEnv }, played, run, home, stateDir };
    },

    /** Returns the status of a run in dstack; undefined if it doesn't exist. */
    async statusOf(run: string): Promise<string | undefined> {
      const found = await request('/api/project/main/runs/get', { run_name: run }).catch(() => undefined);
      return typeof found === 'object' && found !== null && 'status' in found ? String(found.status) : undefined;
    },

    async stopRun(run: string): Promise<void> {
      await request('/api/project/main/runs/stop', { runs_names: [run], abort: false });
    },
  };
}

const configurationOf = (name: string): object => ({
  type: 'task',
  name,
  commands: [
    `for n in ${Array.from({ length: LOG_LINES }, (_, index) => index + 1).join(' ')}; do echo "${logLine('$n')}"; done`,
    'sleep 600',
  ],
  resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
});

/** Whether a run ends or has ended. */
export const isEnding = (status: string): boolean => ['terminating', 'terminated', 'failed', 'done'].includes(status);

/** Returns the processes of a server, and of what it started, that don't end. */
export async function leftIn(home: string): Promise<string[]> {
  await within(END_MS, async () => (await processesIn(home)).length === 0);
  return (await processesIn(home)).map(({ pid, command }) => `${pid} ${command}`);
}

/** Returns whether something becomes true in time. */
export async function within(limitMs: number, isTrue: () => Promise<boolean>): Promise<boolean> {
  const end = Date.now() + limitMs;
  while (!(await isTrue())) {
    if (Date.now() > end) return false;
    await delay(100);
  }
  return true;
}

/** Returns the reasons, or the levels of consent, in the audit log. */
export async function consentsIn(stateDir: string, what: 'why' | 'level' = 'why'): Promise<string[]> {
  const text = await readFile(path.join(stateDir, 'audit', 'audit.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  return lines.flatMap((line) => {
    const entry: unknown = JSON.parse(line);
    const found: unknown = typeof entry === 'object' && entry !== null ? Reflect.get(entry, what) : undefined;
    return typeof found === 'string' ? [found] : [];
  });
}

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { CLIENTS } from '../../src/setup/clients.ts';
import { runSetup } from '../../src/setup/setup-command.ts';
import { processesIn } from '../../test/support/processes.ts';
import { PROMPT } from './hosts.ts';
import type { Host, HostStart } from './hosts.ts';
import { startFakeModel } from './model/fake-model.ts';
import type { FakeModel, Script } from './model/fake-model.ts';

/** Options for the start of a host. */
export interface PlayOptions {
  readonly program: string;
  /** An empty folder for the host's home and its project. */
  readonly folder: string;
  /** The built server. */
  readonly server: string;
  /** The environment of the server, which setup writes into the host's configuration. */
  readonly serverEnv: Readonly<Record<string, string>>;
  readonly script: Script;
}

/** A host that runs one turn with the scripted model. */
export interface RunningHost {
  readonly process: ChildProcess;
  /** Returns everything that it has printed so far. */
  readonly printed: () => string;
  /** Resolves once it has ended. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Configures a host with `setup` in a separate home folder, and starts one turn without a terminal. */
export async function startHost(host: Host, options: PlayOptions): Promise<RunningHost> {
  const model = await startFakeModel(options.script);
  const start = {
    home: path.join(options.folder, 'home'),
    cwd: path.join(options.folder, 'project'),
    model: model.url,
  };
  try {
    await configure(host, start, options);
    const env = environmentOf(host, start);
    for (const words of host.before?.(start) ?? [])
      await execa(options.program, words, { cwd: start.cwd, env, extendEnv: false, stdin: 'ignore', timeout: 60_000 });
    // In its own process group, as in a terminal: Ctrl-C goes to all of it.
    const child = spawn(options.program, host.args(PROMPT, start), {
      cwd: start.cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return watch(child, model, start.home);
  } catch (error) {
    await model.stop();
    throw error;
  }
}

function watch(child: ChildProcess, model: FakeModel, home: string): RunningHost {
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (printed += String(chunk)));
  const ended = once(child, 'exit').then(() => undefined);
  return {
    process: child,
    printed: () => [printed, ...model.problems].join('\n'),
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) signalGroup(child, 'SIGKILL');
      await ended;
      // Cline leaves a daemon behind.
      for (const { pid } of await processesIn(home)) process.kill(pid, 'SIGKILL');
      await model.stop();
    },
  };
}

/** Sends a signal to a host's process group. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal);
}

export async function configure(host: Host, start: HostStart, { server, serverEnv }: PlayOptions): Promise<void> {
  await mkdir(start.cwd, { recursive: true });
  for (const [name, text] of Object.entries(host.files?.(start) ?? {})) {
    const file = path.resolve(start.home, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const client = CLIENTS.find(({ id }) => id === host.id);
  if (client === undefined) throw new Error(`setup doesn't know ${host.id}`);
  await runSetup(
    { client, name: 'dstack', undo: false, dryRun: false, yes: true, file: undefined, settings: serverEnv },
    {
      places: { platform: process.platform, env: {}, home: start.home, cwd: start.cwd },
      installation: { platform: process.platform, node: process.execPath, server },
      print: () => undefined,
      asker: undefined,
    },
  );
}

/** Nothing of the caller's environment but the search path. A proxy that isn't there refuses everything but this computer. */
export function environmentOf(host: Host, start: HostStart): Record<string, string> {
  const nowhere = 'http://127.0.0.1:9';
  return {
    PATH: [path.dirname(process.execPath), process.env['PATH'] ?? ''].join(path.delimiter),
    HOME: start.home,
    TERM: 'xterm',
    LANG: 'C.UTF-8',
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    NO_PROXY: '127.0.0.1,localhost',
    ...host.env(start),
  };
}

import { ToolError } from '../core/errors.ts';
import { homeFolder } from '../core/paths.ts';
import { createLog } from '../observability/create-log.ts';
import {
  cacheFolder,
  givenText,
  hasAttachments,
  programCommand,
  sandboxEnvironment,
  sandboxPlace,
  stateFolder,
} from '../settings/installation.ts';
import { readSettings } from '../settings/settings.ts';
import type { Settings } from '../settings/settings.ts';
import type { SetupOrder } from '../setup/setup-command.ts';
import type { CommandLine } from './command-line.ts';
import type { OpenEngine } from './engine.ts';

/** Signals that end the process, and the exit codes that shells use for them. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const stopping = new AbortController();

/** The launcher that started this process. */
export interface Start {
  /** The path of its script. */
  readonly file: string;
  /** Called after a client was served and everything is closed. */
  served(this: void): Promise<void>;
}

/** Runs the command line and sets the exit code. Never throws. */
export async function main(start: Start): Promise<void> {
  watchSignals();
  try {
    const argv = process.argv.slice(2);
    // Clients mostly start the server without options: it then starts without the parser.
    const line: CommandLine =
      argv.length === 0
        ? { command: 'serve', settings: {} }
        : (await import('./command-line.ts')).readCommandLine(argv, programCommand(start.file));
    await runCommand(line, start);
  } catch (error) {
    // The bundles that are loaded later have a separate ToolError class.
    const expected = error instanceof ToolError || (error instanceof Error && 'hint' in error);
    process.stderr.write(
      expected
        ? `dstack-mcp: ${(error as Error).message}\n${String((error as { hint?: unknown }).hint)}\n`
        : `${String(error instanceof Error ? error.stack : error)}\n`,
    );
    process.exitCode = expected ? 2 : 70;
  }
}

function watchSignals(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) {
    process.on(signal, () => {
      // A second signal ends the process at once.
      if (stopping.signal.aborted) process.exit(code);
      process.exitCode = code;
      stopping.abort();
    });
  }
  // At a file size limit (ulimit -f) the system ends a process that has no listener for this signal. Libraries add one and remove it
  // again; with one that stays, the write fails instead, and the failure is reported.
  process.on('SIGXFSZ', () => undefined);
  // A closed pipe ends the process; it isn't a crash.
  process.stdout.on('error', () => stopping.abort());
  process.stderr.on('error', () => undefined);
}

async function runCommand(line: CommandLine, start: Start): Promise<void> {
  switch (line.command) {
    case 'print':
      process.stdout.write(line.text);
      return;
    case 'setup':
      process.exitCode = await runSetup(line.order, start);
      return;
    case 'sandbox': {
      const { runSandboxCommand } = await loadSandbox();
      const place = sandboxPlace(stateFolder(givenText(process.env['DSTACK_MCP_STATE_DIR'])));
      const { file: server } = start;
      const { signal } = stopping;
      const command = programCommand(server);
      return runSandboxCommand({ print, signal, place, server, command, cacheFolder: cacheFolder() });
    }
    case 'demo':
      return runDemo(start);
    case 'doctor':
      return withEngine(line.settings, async (engine) => {
        const { doctor } = await engine();
        // A server that doesn't answer takes seconds.
        if (process.stderr.isTTY) process.stderr.write('Checking dstack, its server and this computer…\n');
        process.exitCode = await doctor({ ...line, print });
      });
    case 'serve':
      await withEngine(line.settings, (engine, settings) => runServer(engine, settings, programCommand(start.file)));
      return start.served();
    default:
      line satisfies never;
  }
}

type LoadEngine = () => Promise<OpenEngine>;

async function withEngine(
  given: Readonly<Record<string, unknown>>,
  use: (engine: LoadEngine, settings: Settings) => Promise<void>,
): Promise<void> {
  const settings = readEffectiveSettings(given);
  let opened: Promise<OpenEngine> | undefined;
  const engine: LoadEngine = () => {
    // A separate bundle: most servers that clients start are never called.
    opened ??= import('./engine.ts').then(({ openEngine }) => openEngine(settings));
    return opened;
  };
  // A server without its policy must not start.
  if (settings.policy !== undefined) await engine();
  try {
    await use(engine, settings);
  } finally {
    // Whoever needed an engine that couldn't be loaded has reported it.
    await (await opened?.catch(() => undefined))?.close();
  }
}

/** Reads the settings. With the sandbox, its home folder becomes the one of this process, for everything that looks for it. */
function readEffectiveSettings(given: Readonly<Record<string, unknown>>): Settings {
  const settings = readSettings(given, process.env);
  if (settings.sandbox === undefined) return settings;
  const env = sandboxEnvironment(process.env, settings.sandbox);
  for (const name of Object.keys(process.env)) if (env[name] === undefined) delete process.env[name];
  Object.assign(process.env, env);
  return readSettings(given, process.env);
}

async function runServer(engine: LoadEngine, settings: Settings, name: string): Promise<void> {
  if (process.stdin.isTTY)
    process.stderr.write(
      'dstack-mcp is an MCP server and is waiting for a client on standard input. Press Ctrl+C to stop it.\n' +
        `To add it to a client: ${name} setup --list. To check your setup: ${name} doctor. For help: ${name} --help.\n`,
    );
  // Whether or not it is called, a server looks after the attachments that another one left.
  if (hasAttachments(settings.stateDir)) await engine();
  const [{ serve }, { TOOL_LIST }] = await Promise.all([import('../mcp/server.ts'), import('../mcp/tools.ts')]);
  await serve({ settings, tools: TOOL_LIST, engine, log: createLog(settings.logLevel) }, stopping.signal);
}

async function runSetup(order: SetupOrder | 'list', { file }: Start): Promise<number> {
  const { platform, env } = process;
  // A separate bundle, so that the server starts without it.
  const { runSetupCommand } = await import('../setup/setup-command.ts');
  return runSetupCommand(order, {
    places: { platform, env, home: homeFolder(env), cwd: process.cwd() },
    installation: { platform, node: process.execPath, server: file },
    command: programCommand(file),
    isTerminal: process.stdin.isTTY && process.stdout.isTTY,
    print,
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function runDemo({ file }: Start): Promise<void> {
  const { runDemo: demo } = await loadSandbox();
  const { signal } = stopping;
  const command = programCommand(file);
  const code = await demo({ print, signal, server: file, command, cacheFolder: cacheFolder() });
  process.exitCode ??= code;
}

/** Loads the sandbox, a separate bundle, so that the server starts without it. */
function loadSandbox() {
  return import('../../sandbox/main.ts');
}

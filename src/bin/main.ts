import { homedir } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { createApp } from '../app.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import { showHelp } from './help-text.ts';
import { createLog } from '../observability/create-log.ts';
import { describeSettings, readCommandLine } from '../settings/settings.ts';
import type { CommandLine } from '../settings/settings.ts';
import { VERSION } from '../settings/version.ts';

/** Signals that end the process, with the exit code that a shell gives them. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** What the start of the worker may take of the server's own. */
const HEAD_START_MS = 100;

const stopping = new AbortController();

/** What started this process. */
export interface Start {
  /** The file that was started. */
  readonly file: string;
  /** Called when a client was served and everything is closed. */
  served(this: void): Promise<void>;
}

/** Does what the command line says, and leaves the exit code. Never throws. */
export async function main(start: Start): Promise<void> {
  watchSignals();
  try {
    const [first, ...rest] = process.argv.slice(2);
    if (first === 'setup') await runSetup(rest, start);
    else await runCommand(readCommandLine(process.argv.slice(2), process.env), start);
  } catch (error) {
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
      // A second signal means now.
      if (stopping.signal.aborted) process.exit(code);
      process.exitCode = code;
      stopping.abort();
    });
  }
  // At a limit for the size of files (ulimit -f) the system ends a process that doesn't listen. Node doesn't let it, until a library that
  // listened for a while takes its listener off: with one that stays, the write fails, which is told.
  process.on('SIGXFSZ', () => undefined);
  // A reader that is gone (a closed pipe) is an end, not a crash.
  process.stdout.on('error', () => stopping.abort());
  process.stderr.on('error', () => undefined);
}

async function runCommand(line: CommandLine, start: Start): Promise<void> {
  switch (line.command) {
    case 'help':
      process.stdout.write(showHelp());
      return;
    case 'version':
      process.stdout.write(`${VERSION}\n`);
      return;
    case 'sandbox':
      return runSandbox();
    case 'demo':
      return runDemo(start);
    case 'serve':
    case 'doctor': {
      const engine = createApp({
        settings: line.settings,
        env: process.env,
        log: createLog(line.settings.logLevel),
      });
      try {
        if (line.command === 'serve') await runServer(engine);
        else
          process.exitCode = await (await import('./doctor-command.ts')).runDoctor(engine, { json: line.json, print });
      } finally {
        await engine.close();
      }
      if (line.command === 'serve') await start.served();
      return;
    }
    default:
      line.command satisfies never;
  }
}

async function runServer(engine: App): Promise<void> {
  // Before all else: the protocol's parts are loaded while dstack's are. A disk that doesn't answer must not keep a client waiting.
  await Promise.race([engine.warmUp(), setTimeout(HEAD_START_MS)]);
  const [{ serve }, { tools }] = await Promise.all([import('../mcp/server.ts'), import('../../tools/index.ts')]);
  await serve(engine, tools, stopping.signal);
}

async function runSetup(argv: readonly string[], { file }: Start): Promise<void> {
  const { platform, env } = process;
  const { runSetupCommand } = await loadSetup();
  process.exitCode = await runSetupCommand(argv, {
    settings: describeSettings(),
    checkSettings: (settings) => void readCommandLine([], settings),
    help: showHelp,
    places: { platform, env, home: env['HOME'] ?? env['USERPROFILE'] ?? homedir(), cwd: process.cwd() },
    installation: { platform, node: process.execPath, server: file },
    isTerminal: process.stdin.isTTY && process.stdout.isTTY,
    print,
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function runSandbox(): Promise<void> {
  const { runSandboxCommand } = await loadSandbox();
  await runSandboxCommand({ print, signal: stopping.signal });
}

async function runDemo({ file }: Start): Promise<void> {
  const { runDemo: demo, findCacheFolder } = await loadSandbox();
  const code = await demo({ print, signal: stopping.signal, server: file, cacheFolder: findCacheFolder() });
  process.exitCode ??= code;
}

/** The sandbox is a bundle of its own beside this one, so that a server's start doesn't pay for it. */
function loadSandbox() {
  return import('../../sandbox/main.ts');
}

/** A bundle of its own as well. */
function loadSetup() {
  return import('../setup/main.ts');
}

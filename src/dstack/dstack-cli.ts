import path from 'node:path';
import { createCatalog, createHelpSource, createWholeHelpSource } from './catalog/create-catalog.ts';
import type { CheckedArgv } from './argv/command.ts';
import { checkArgv } from './argv/check-argv.ts';
import { findExecutable, withoutProjects } from './locate/find-executable.ts';
import type { FoundExecutable } from './locate/find-executable.ts';
import type { Runner, RunOptions } from './run/runner.ts';
import { createPlainRunner } from './run/process-runner.ts';
import { resolveCliIdentity, readInstallationStamp } from './locate/cli-identity.ts';
import type { Introspection } from './warm/introspection.ts';
import { createLastUsed } from './warm/keeper.ts';
import { createWarmRunner } from './warm/runner.ts';
import type { WarmRunner, WarmStatus } from './warm/runner.ts';
import type { ClientCli } from './client/dstack-client.ts';
import type { Log } from '../core/log.ts';
import type { PolicyWatch } from '../safety/policy/policy-watch.ts';
import { assertSandboxRuns, workerFolder } from '../settings/installation.ts';
import type { Settings } from '../settings/settings.ts';
import type { Transcript } from '../core/transcript.ts';
import { currentCall } from '../observability/calls.ts';

/** Interval for checking whether another dstack was installed. */
const RECHECK_MS = 1_000;

/** The installed dstack CLI: found, identified and ready to run. */
export interface Cli extends ClientCli {
  readonly executable: FoundExecutable;
  /** Changes if another dstack is installed in its place. */
  readonly stamp: string | undefined;
  readonly runner: Runner;
  /** Questions to dstack's own interpreter: schemas, and its parser's verdict. */
  readonly introspection: Introspection;
  /** Returns the state of the warm worker. */
  worker(): WarmStatus;
}

/** Finds the CLI on first use, and again after an upgrade. Failures aren't cached: dstack may be installed while the server runs. */
export interface CliFinder {
  /** @throws ToolError `cli-not-found`, `sandbox-ended` */
  get(): Promise<Cli>;
  /** Starts the worker in the background. @throws ToolError `cli-not-found`, `sandbox-ended` */
  warmUp(): Promise<void>;
  close(): Promise<void>;
}

export interface CliFinderOptions {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly log: Log;
  readonly policy: PolicyWatch;
}

export function createCliFinder(options: CliFinderOptions): CliFinder {
  let current: Found | undefined;
  const find = (): Found => {
    const runners = findRunners(options);
    const cli = runners.then((found) => loadCli(found, options));
    const found = { runners, cli, checkedAt: performance.now() };
    current = found;
    cli.catch(async () => {
      if (current === found) current = undefined;
      await closeRunner(found);
    });
    return found;
  };
  const { sandbox } = options.settings;
  return {
    async get() {
      if (sandbox !== undefined) await assertSandboxRuns(sandbox);
      if (current === undefined) return find().cli;
      const known = current;
      const cli = await known.cli;
      if (performance.now() - known.checkedAt < RECHECK_MS) return cli;
      known.checkedAt = performance.now();
      if ((await readInstallationStamp(cli.executable)) === cli.stamp) return cli;
      if (current !== known) return (current ?? find()).cli;
      // Another dstack was installed in its place: its documentation is read again, and the old worker is ended.
      options.log.info({ executable: cli.executable.path }, 'dstack was upgraded');
      const next = find();
      await closeRunner(known);
      return next.cli;
    },
    async warmUp() {
      if (sandbox !== undefined) await assertSandboxRuns(sandbox);
      // Doesn't wait for the identity of dstack: that can take as long as the worker's start.
      const { runner } = await (current ?? find()).runners;
      runner.warmUp();
    },
    async close() {
      if (current !== undefined) await closeRunner(current);
    },
  };
}

interface Found {
  readonly runners: Promise<Runners>;
  readonly cli: Promise<Cli>;
  checkedAt: number;
}

/** Ends what was started for a CLI. The catalog is saved first, so that the next server needn't read it again. */
async function closeRunner({ runners, cli }: Found): Promise<void> {
  const found = await runners.catch(() => undefined);
  await found?.runner.close();
  const known = await cli.catch(() => undefined);
  await known?.catalog.settled();
}

interface Runners {
  readonly executable: FoundExecutable;
  readonly runner: WarmRunner;
  readonly env: Readonly<Record<string, string | undefined>>;
}

async function findRunners({ settings, env, home, log }: CliFinderOptions): Promise<Runners> {
  const executable = await findExecutable({
    ...(settings.cli === undefined ? {} : { configured: settings.cli }),
    env,
    homeDir: home,
    workspace: settings.workspace,
  });
  // Omitted if not set: dstack treats an empty value, which Claude Desktop passes, as a project without a name.
  const { workspace } = settings;
  const outer = withoutProjects({ ...env, ...executable.wrapper?.env }, { homeDir: home, workspace });
  const dstackEnv = { ...outer, DSTACK_PROJECT: settings.project };
  const worker = workerFolder();
  const plain = createPlainRunner({
    executable,
    env: dstackEnv,
    launcherPath: path.join(worker, 'launch_dstack.py'),
    log,
  });
  const runner = createWarmRunner({
    executable,
    workerFiles: worker,
    env: dstackEnv,
    plain,
    log,
    lastUsed: createLastUsed(path.join(settings.stateDir, 'last-used.json'), log),
    mode: settings.warm,
  });
  return { executable, runner, env: dstackEnv };
}

async function loadCli(
  { executable, runner, env }: Runners,
  { settings, log, policy }: CliFinderOptions,
): Promise<Cli> {
  const cacheDir = path.join(settings.stateDir, 'catalog');
  const identity = await resolveCliIdentity({ executable, runner, cacheDir, log });
  const catalog = createCatalog({
    source: createWholeHelpSource({
      helpTexts: () => runner.introspection.helpTexts(),
      fallback: createHelpSource({ runner }),
    }),
    identity,
    cacheDir,
    log,
  });
  return {
    executable,
    isPython: executable.interpreter !== undefined,
    stamp: await readInstallationStamp(executable),
    version: identity.version,
    catalog,
    runner: recordCommands(runner, log),
    introspection: runner.introspection,
    env,
    // Read only if such a flag is used: a broken policy doesn't prevent reading.
    check: (request) => checkArgv(request, catalog, () => policy.snapshot().allowedFlags),
    worker: () => runner.state(),
  };
}

/** Wraps a runner: records each command in the current call and in the log. */
function recordCommands(runner: Runner, log: Log): Runner {
  const record = async <Options extends RunOptions>(
    { command }: CheckedArgv,
    options: Options,
    run: (options: Options) => Promise<Transcript>,
  ): Promise<Transcript> => {
    const ongoing = currentCall()?.command(command);
    if (ongoing === undefined) return run(options);
    let transcript: Transcript | undefined;
    try {
      transcript = await run({ ...options, onBegin: (ran) => ongoing.begin(ran) });
      return transcript;
    } finally {
      const { startedAt: _, waitedMs, durationMs, ...facts } = ongoing.end(transcript?.exit);
      log.debug({ ...facts, waitedMs: Math.round(waitedMs), durationMs: Math.round(durationMs) }, 'command');
    }
  };
  return {
    read: (argv, options) => record(argv, options, (recorded) => runner.read(argv, recorded)),
    change: (argv, consent, options) => record(argv, options, (recorded) => runner.change(argv, consent, recorded)),
    close: () => runner.close(),
  };
}

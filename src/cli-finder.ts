import path from 'node:path';
import { createCatalogue } from './cli/catalogue.ts';
import type { Catalogue } from './cli/catalogue.ts';
import { checkArgv } from './cli/check-argv.ts';
import type { CheckedArgv, CommandRequest } from './cli/command.ts';
import { findExecutable } from './cli/find-executable.ts';
import type { Executable } from './cli/find-executable.ts';
import { createHelpSource, createWholeHelpSource } from './cli/help-source.ts';
import { createPlainRunner } from './cli/plain-runner.ts';
import { knowIdentity, readInstallationStamp } from './cli/known-identity.ts';
import type { Runner } from './cli/runner.ts';
import type { Introspection } from './cli/warm-introspection.ts';
import { createWarmRunner } from './cli/warm-runner.ts';
import type { WarmRunner, WarmStatus } from './cli/warm-runner.ts';
import type { Log } from './log.ts';
import { recordCommands } from './record-commands.ts';
import { spendConsent } from './safety/consent.ts';
import type { PolicyWatch } from './safety/policy-watch.ts';
import type { Settings } from './settings.ts';
import { workerFolder } from './worker-folder.ts';

/** How often it is looked whether another dstack was installed. */
const LOOK_AGAIN_MS = 1_000;

/** The installed dstack CLI: found, known and ready to be run. */
export interface Cli {
  readonly executable: Executable;
  /** Changes when another dstack is installed in its place. */
  readonly stamp: string | undefined;
  readonly version: string;
  readonly catalogue: Catalogue;
  readonly runner: Runner;
  /** What dstack's own interpreter tells: schemas, and its parser's verdict. */
  readonly introspection: Introspection;
  /** The environment that dstack is run in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The one way from a request to an argv that a runner takes. */
  check(request: CommandRequest): Promise<CheckedArgv>;
  /** How the warm worker stands. */
  worker(): WarmStatus;
}

/** Finds the CLI at its first use, and anew when it was upgraded. A failure isn't kept: dstack may be installed while the server runs. */
export interface CliFinder {
  get(): Promise<Cli>;
  /** Has the worker start; resolves when it has begun. @throws ToolError `cli-not-found` */
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
    const cli = runners.then((found) => getToKnow(found, options));
    const found = { runners, cli, lookedAt: performance.now() };
    current = found;
    cli.catch(async () => {
      if (current === found) current = undefined;
      await closeRunner(found);
    });
    return found;
  };
  return {
    async get() {
      if (current === undefined) return find().cli;
      const known = current;
      const cli = await known.cli;
      if (performance.now() - known.lookedAt < LOOK_AGAIN_MS) return cli;
      known.lookedAt = performance.now();
      if ((await readInstallationStamp(cli.executable)) === cli.stamp) return cli;
      if (current !== known) return (current ?? find()).cli;
      // Another dstack was installed in its place: what it documents is read anew, and no worker of the old one is left.
      options.log.info({ executable: cli.executable.path }, 'dstack was upgraded');
      const next = find();
      await closeRunner(known);
      return next.cli;
    },
    async warmUp() {
      // It needn't be known which dstack it is: that may take as long as the worker's start.
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
  lookedAt: number;
}

/** Ends what was started for a CLI, known or not yet. What was read of it is kept first: the next server needn't ask again. */
async function closeRunner({ runners, cli }: Found): Promise<void> {
  const found = await runners.catch(() => undefined);
  await found?.runner.close();
  const known = await cli.catch(() => undefined);
  await known?.catalogue.settled();
}

interface Runners {
  readonly executable: Executable;
  readonly runner: WarmRunner;
  readonly env: Readonly<Record<string, string | undefined>>;
}

async function findRunners({ settings, env, home, log }: CliFinderOptions): Promise<Runners> {
  const executable = await findExecutable({
    ...(settings.cli === undefined ? {} : { configured: settings.cli }),
    env,
    homeDir: home,
  });
  // Left out where it isn't set: dstack takes an empty one, as Claude Desktop hands it over, for a project without a name.
  const dstackEnv = { ...env, DSTACK_PROJECT: settings.project };
  const worker = workerFolder();
  const plain = createPlainRunner({
    executable,
    env: dstackEnv,
    spendConsent,
    launcherPath: path.join(worker, 'launch_pinned.py'),
    log,
  });
  const runner = createWarmRunner({
    executable,
    workerFiles: worker,
    env: dstackEnv,
    plain,
    spendConsent,
    log,
    enabled: settings.warm,
  });
  return { executable, runner, env: dstackEnv };
}

async function getToKnow(
  { executable, runner, env }: Runners,
  { settings, log, policy }: CliFinderOptions,
): Promise<Cli> {
  const cacheDir = path.join(settings.stateDir, 'catalogue');
  const identity = await knowIdentity({ executable, runner, cacheDir, log });
  const catalogue = createCatalogue({
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
    stamp: await readInstallationStamp(executable),
    version: identity.version,
    catalogue,
    runner: recordCommands(runner, log),
    introspection: runner.introspection,
    env,
    check: (request) =>
      checkArgv(request, catalogue, {
        // Asked for only where such a flag is given: a policy that can't be read doesn't keep anyone from reading.
        get allowedFlags() {
          return policy.allowedFlags();
        },
      }),
    worker: () => runner.state(),
  };
}

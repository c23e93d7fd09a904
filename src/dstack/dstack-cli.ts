import path from 'node:path';
import { createCatalog } from './catalog/create-catalog.ts';
import type { Catalog } from './argv/catalog.ts';
import { checkArgv } from './argv/check-argv.ts';
import type { CheckedArgv, CommandRequest } from './argv/command.ts';
import { findExecutable } from './locate/find-executable.ts';
import type { Executable, Runner } from './run/runner.ts';
import { createHelpSource, createWholeHelpSource } from './catalog/help-source.ts';
import { createPlainRunner } from './run/process-runner.ts';
import { resolveCliIdentity, readInstallationStamp } from './locate/cli-identity.ts';
import type { Introspection } from './warm/introspection.ts';
import { createWarmRunner } from './warm/runner.ts';
import type { WarmRunner, WarmStatus } from './warm/runner.ts';
import type { Log } from '../core/log.ts';
import { recordCommands } from './run/record-commands.ts';
import { spendConsent } from '../safety/consent/consent.ts';
import type { PolicyWatch } from '../safety/policy/policy-watch.ts';
import type { Settings } from '../settings/settings.ts';
import { workerFolder } from '../settings/bundled-files.ts';

/** How often it is looked whether another dstack was installed. */
const LOOK_AGAIN_MS = 1_000;

/** The installed dstack CLI: found, known and ready to be run. */
export interface Cli {
  readonly executable: Executable;
  /** Changes when another dstack is installed in its place. */
  readonly stamp: string | undefined;
  readonly version: string;
  readonly catalog: Catalog;
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
    const cli = runners.then((found) => loadCli(found, options));
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
  await known?.catalog.settled();
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
    stamp: await readInstallationStamp(executable),
    version: identity.version,
    catalog,
    runner: recordCommands(runner, log),
    introspection: runner.introspection,
    env,
    check: (request) =>
      checkArgv(request, catalog, {
        // Asked for only where such a flag is given: a policy that can't be read doesn't keep anyone from reading.
        get allowedFlags() {
          return policy.allowedFlags();
        },
      }),
    worker: () => runner.state(),
  };
}

import path from 'node:path';
import { createCatalogue } from './cli/catalogue.ts';
import type { Catalogue } from './cli/catalogue.ts';
import { checkArgv } from './cli/check-argv.ts';
import type { CheckedArgv, CommandRequest } from './cli/command.ts';
import { findExecutable } from './cli/find-executable.ts';
import type { Executable } from './cli/find-executable.ts';
import { createHelpSource } from './cli/help-source.ts';
import { createPlainRunner } from './cli/plain-runner.ts';
import { knowIdentity } from './cli/known-identity.ts';
import type { Runner } from './cli/runner.ts';
import { createWarmRunner } from './cli/warm-runner.ts';
import type { Log } from './log.ts';
import { spendConsent } from './safety/consent.ts';
import type { PolicyWatch } from './safety/policy-watch.ts';
import type { Settings } from './settings.ts';
import { workerFolder } from './worker-folder.ts';

/** The installed dstack CLI: found, known and ready to be run. */
export interface Cli {
  readonly executable: Executable;
  readonly version: string;
  readonly catalogue: Catalogue;
  readonly runner: Runner;
  /** The one way from a request to an argv that a runner takes. */
  check(request: CommandRequest): Promise<CheckedArgv>;
  /** How the warm worker stands, in words. */
  describeWorker(): string;
  warmUp(): void;
}

/** Finds the CLI once, at its first use; a failure isn't kept, so that dstack may be installed while the server runs. */
export interface CliFinder {
  get(): Promise<Cli>;
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
  let finding: Promise<Cli> | undefined;
  return {
    get() {
      finding ??= findCli(options).catch((error: unknown) => {
        finding = undefined;
        throw error;
      });
      return finding;
    },
    async close() {
      const found = await finding?.catch(() => undefined);
      await found?.runner.close();
    },
  };
}

async function findCli({ settings, env, home, log, policy }: CliFinderOptions): Promise<Cli> {
  const executable = await findExecutable({
    ...(settings.cli === undefined ? {} : { configured: settings.cli }),
    env,
    homeDir: home,
  });
  const dstackEnv = settings.project === undefined ? env : { ...env, DSTACK_PROJECT: settings.project };
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
  const cacheDir = path.join(settings.stateDir, 'catalogue');
  const identity = await knowIdentity({ executable, runner, cacheDir, log });
  const catalogue = createCatalogue({
    source: createHelpSource({ runner }),
    identity,
    cacheDir,
    log,
  });
  return {
    executable,
    version: identity.version,
    catalogue,
    runner,
    check: (request) => checkArgv(request, catalogue, { allowedFlags: policy.allowedFlags() }),
    describeWorker: () => {
      const { kind, why, warmCommands } = runner.state();
      return `${kind}${why === undefined ? '' : `: ${why}`}; ${warmCommands} commands ran warm`;
    },
    warmUp: () => runner.warmUp(),
  };
}

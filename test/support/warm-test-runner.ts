import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { pino } from 'pino';
import { createCatalog } from '../../src/dstack/catalog/create-catalog.ts';
import type { Catalog, CheckedArgv, CommandRequest } from '../../src/dstack/argv/command.ts';
import { checkArgv, hasEffect } from '../../src/dstack/argv/check-argv.ts';
import { createPlainRunner } from '../../src/dstack/run/process-runner.ts';
import { createWarmRunner } from '../../src/dstack/warm/runner.ts';
import type { WarmRunner, WarmRunnerOptions } from '../../src/dstack/warm/runner.ts';
import type { LastUsed } from '../../src/dstack/warm/keeper.ts';
import type { WarmLimits } from '../../src/dstack/warm/service.ts';
import { grantConsent } from '../../src/safety/consent/consent.ts';
import type { Consent } from '../../src/safety/consent/consent.ts';
import type { Effect } from '../../src/core/report.ts';
import { workerFiles } from './warm-fixtures.ts';
import { fixture } from './paths.ts';

/** A record of the last used server in which there is only one. */
export const onlyServer: LastUsed = { claim: () => undefined, isOurs: async () => true };

export const silentLog = pino({ level: 'silent' });

/** Creates an argv of the given effect, checked against recorded help. Also works outside vitest. */
export async function checked<E extends Effect>(request: CommandRequest, effect: E): Promise<CheckedArgv<E>> {
  const argv = await checkArgv(request, await openCatalog());
  if (!hasEffect(argv, effect)) throw new Error(`its effect is ${argv.effect}`);
  return argv;
}

let opened: Promise<Catalog> | undefined;

function openCatalog(): Promise<Catalog> {
  opened ??= readCatalog();
  return opened;
}

async function readCatalog(): Promise<Catalog> {
  const file = fixture('help', 'help-0.22.5.json');
  const pages: Record<string, string> = JSON.parse(await readFile(file, 'utf8'));
  return createCatalog({
    source: {
      read: async (command, type) => ({ text: pages[type === undefined ? command : `${command} -h ${type}`] ?? '' }),
    },
    identity: { path: '/dstack', realpath: '/dstack', mtimeMs: 1, size: 1, version: '0.22.5' },
    // Nothing can be stored there: a process that a test kills would leave it behind.
    cacheDir: '/dev/null/catalog',
    log: silentLog,
  });
}

export const consentTo = (argv: CheckedArgv): Consent => grantConsent({ level: 'token', argv: argv.argv });

export interface TestRunnerOptions extends Partial<Omit<WarmRunnerOptions, 'limits'>> {
  readonly executable: WarmRunnerOptions['executable'];
  readonly limits?: Partial<WarmLimits>;
  /** For plain processes and the worker. */
  readonly changeLimitMs?: number;
}

/** Creates a warm runner over a plain one, as the server does, with short limits. */
export function makeWarmRunner(options: TestRunnerOptions): WarmRunner {
  const env = options.env ?? { PATH: process.env['PATH'], HOME: path.dirname(options.executable.path) };
  const { executable, changeLimitMs } = options;
  const both = { graceMs: options.limits?.graceMs ?? 300, ...(changeLimitMs === undefined ? {} : { changeLimitMs }) };
  const launcherPath = path.join(workerFiles, 'launch_dstack.py');
  const plain = createPlainRunner({ executable, env, launcherPath, log: silentLog, ...both });
  return createWarmRunner({
    workerFiles,
    plain,
    log: silentLog,
    lastUsed: onlyServer,
    ...options,
    env,
    limits: {
      ...both,
      patienceMs: 30_000,
      handOverMs: 20_000,
      silenceMs: 20_000,
      introspectionMs: 120_000,
      ...options.limits,
    },
  });
}

/** Returns the process ID of the worker, which has to be ready. */
export function workerPid(runner: WarmRunner): number {
  const [pid] = runner.state().pids ?? [];
  if (pid === undefined) throw new Error(`the worker is ${runner.state().kind}`);
  return pid;
}

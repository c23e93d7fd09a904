import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { inject } from 'vitest';
import { stringify } from 'yaml';
import * as z from 'zod';
import { endTunnels } from '../../sandbox/end-tunnels.ts';
import { createRestClient } from '../../sandbox/rest-client.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox, SandboxOptions } from '../../sandbox/sandbox.ts';
import { repositoryRoot } from './paths.ts';
import { createTestHome } from './test-home.ts';
import { until } from './wait.ts';

const repository = repositoryRoot;

/** The Python environment and the cache that the tests of the sandbox share. */
export const testOptions = {
  pythonEnvironment: process.env['DSTACK_TEST_PYTHON_ENV'] ?? path.join(repository, '.cache', 'python'),
  cacheFolder: path.join(repository, '.cache', 'sandbox'),
} satisfies SandboxOptions;

const run = z.object({
  status: z.string(),
  status_message: z.string().nullish(),
  termination_reason: z.string().nullish(),
  jobs: z.array(
    z.object({
      job_submissions: z.array(
        z.object({
          status: z.string(),
          termination_reason: z.string().nullish(),
          termination_reason_message: z.string().nullish(),
          exit_status: z.number().nullish(),
          image_pull_progress: z.object({ downloaded_bytes: z.number(), total_bytes: z.number() }).nullish(),
        }),
      ),
    }),
  ),
});

export type Run = z.output<typeof run>;

/** A user of a sandbox, with helpers for tests. */
export interface TestUser extends Pick<Sandbox, 'home' | 'workspace' | 'cli' | 'env' | 'stop'> {
  /** Runs the real CLI in the workspace; the output contains both streams. */
  dstack(...args: string[]): Promise<{ readonly exitCode: number | undefined; readonly output: string }>;
  /** Starts the real CLI in its own process group, and leaves it running. */
  spawnDstack(...args: string[]): ChildProcess;
  /** Writes a configuration and applies it, detached. Without resources it runs on a CPU host. */
  apply(configuration: {
    readonly type: string;
    readonly name: string;
    readonly [key: string]: unknown;
  }): Promise<string>;
  run(name: string): Promise<Run>;
  /** Waits for the run to match, and returns it. If it never does, the test times out. */
  waitFor(name: string, isWanted: (run: Run) => boolean): Promise<Run>;
}

/** A sandbox of one test file, with its user. */
export interface TestSandbox extends Sandbox, TestUser {
  stop(): Promise<void>;
}

const small = { cpu: '1..', memory: '1GB..', disk: '1GB..' };

/** Starts a sandbox for one test file. */
export async function startTestSandbox(options: Partial<SandboxOptions> = {}): Promise<TestSandbox> {
  const sandbox = await startSandbox({ ...testOptions, ...options });
  return { ...sandbox, ...createUser(sandbox) };
}

/** Opens a home in the sandbox that all test files share. */
export async function openSharedSandbox(): Promise<TestUser> {
  const { url, token, cli } = inject('sandbox');
  const ends: (() => Promise<void>)[] = [];
  const home = await createTestHome({ atEnd: (end) => void ends.push(end) });
  const stop = async (): Promise<void> => {
    await endTunnels(home.home);
    for (const end of ends) await end();
  };
  return createUser({ ...home, cli, request: createRestClient(url, token), stop });
}

function createUser({
  home,
  workspace,
  cli,
  env,
  request,
  stop,
}: Pick<Sandbox, 'home' | 'workspace' | 'cli' | 'env' | 'request' | 'stop'>): TestUser {
  const environment = { env: { ...env, NO_COLOR: '1', COLUMNS: '250' }, extendEnv: false, cwd: workspace } as const;
  const dstack: TestUser['dstack'] = async (...args) => {
    const result = await execa(cli, args, {
      ...environment,
      reject: false,
      all: true,
      stdin: 'ignore',
      timeout: 60_000,
    });
    return { exitCode: result.exitCode, output: result.all };
  };
  const children: ChildProcess[] = [];
  const getRun = async (name: string): Promise<Run> =>
    run.parse(await request('/api/project/main/runs/get', { run_name: name }));
  return {
    home,
    workspace,
    cli,
    env,
    dstack,
    spawnDstack: (...args) => {
      const child = spawn(cli, args, {
        env: environment.env,
        cwd: workspace,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(child);
      return child;
    },
    async stop() {
      // A failed test may have left one, which would write into the removed home.
      const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      await Promise.all(
        running.map(async (child) => {
          const exited = once(child, 'exit');
          child.kill('SIGKILL');
          await exited;
        }),
      );
      await stop();
    },
    async apply(configuration) {
      const file = `${configuration.name}.dstack.yml`;
      const isRun = ['task', 'service', 'dev-environment'].includes(configuration.type);
      const whole = isRun ? { resources: small, ...configuration } : configuration;
      await writeFile(path.join(workspace, file), stringify(whole));
      const { exitCode, output } = await dstack('apply', '-f', file, '-y', '-d');
      if (exitCode !== 0) throw new Error(`apply ended with ${exitCode ?? 'a signal'}: ${output}`);
      return output;
    },
    run: getRun,
    waitFor: (name, isWanted) => until(() => getRun(name), isWanted),
  };
}

/** Returns whether a run has ended, successfully or not. */
export function isOver({ status }: Run): boolean {
  return ['done', 'failed', 'terminated'].includes(status);
}

/** Returns the newest submission of a run's first job. */
export function lastSubmission({ jobs }: Run): Run['jobs'][number]['job_submissions'][number] {
  const submission = jobs[0]?.job_submissions.at(-1);
  if (submission === undefined) throw new Error('the run has no job');
  return submission;
}

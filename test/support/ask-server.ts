import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import { parse, stringify } from 'yaml';
import * as z from 'zod';
import { createRestClient } from '../../sandbox/rest-client.ts';
import type { TestHome } from './test-home.ts';
import { until } from './wait.ts';

/** Calls the shared sandbox's server directly, without the code under test. */
async function askServer(request: string, body: unknown = {}): Promise<unknown> {
  const { url, token } = inject('sandbox');
  return createRestClient(url, token)(request, body);
}

const run = z.looseObject({
  status: z.string(),
  run_spec: z.looseObject({
    run_name: z.string(),
    configuration: z.looseObject({ commands: z.array(z.string()).nullish() }),
  }),
  jobs: z
    .array(z.looseObject({ job_submissions: z.array(z.looseObject({ termination_reason: z.string().nullish() })) }))
    .default([]),
});

type Run = z.output<typeof run>;

/** Lists active runs, or the last hundred, without their jobs: every submission of a hundred runs is a long answer. */
async function listRuns(options: { readonly only_active: boolean }): Promise<readonly Run[]> {
  const more = { ...options, include_jobs: false };
  return z.array(run).parse(await askServer('/api/runs/list', { project_name: 'main', limit: 100, ...more }));
}

/** Returns a run, for which the server works a fifth of what a list with jobs takes; undefined if it doesn't exist. */
async function getRun(name: string): Promise<Run | undefined> {
  try {
    return run.parse(await askServer('/api/project/main/runs/get', { run_name: name }));
  } catch (error) {
    if (String(error).includes('resource_not_exists')) return undefined;
    throw error;
  }
}

/** Returns the names of the server's last hundred runs, including finished ones. */
export async function runNames(): Promise<readonly string[]> {
  return (await listRuns({ only_active: false })).map((run) => run.run_spec.run_name);
}

/** Returns the number of runs with this first command, whatever their names are. */
export async function countRuns(command: string): Promise<number> {
  const runs = await listRuns({ only_active: false });
  return runs.filter((run) => run.run_spec.configuration.commands?.[0] === command).length;
}

/** Waits until a run has the status, without a call of the code under test: as a plain process, each takes a second of CPU time. */
export async function waitForStatus(name: string, status: string): Promise<void> {
  await until(
    () => getRun(name),
    (found) => found?.status === status,
  );
}

/**
 * Stops runs to free their machines for other tests, and stops them again while dstack takes that back. An aborted run would occupy its
 * machine for half a minute.
 */
export async function stopRuns(...names: readonly string[]): Promise<void> {
  let left = (await listRuns({ only_active: true })).filter(({ run_spec: { run_name } }) => names.includes(run_name));
  while (left.length > 0) {
    const runs_names = left.filter(({ status }) => status !== 'terminating').map((one) => one.run_spec.run_name);
    if (runs_names.length > 0) await askServer('/api/project/main/runs/stop', { runs_names, abort: false });
    // dstack's pipelines look at a run about twice a second, and each look here costs the server as much.
    await delay(400);
    const found = await Promise.all(left.map((one) => getRun(one.run_spec.run_name)));
    left = found.filter((one) => one !== undefined).filter((one) => !isStopping(one) && !hasEnded(one));
  }
}

const hasEnded = ({ status }: Run): boolean => ['terminated', 'failed', 'done'].includes(status);

/** Whether a job has received the stop: until then, dstack may take it back. */
const isStopping = ({ status, jobs }: Run): boolean =>
  status === 'terminating' &&
  jobs.some(({ job_submissions: all }) => all.at(-1)?.termination_reason?.endsWith('_by_user') === true);

const clientConfig = z.looseObject({ projects: z.array(z.looseObject({ name: z.string() })) });

/** Creates another project, without fleets, and adds it to the CLI configuration of a home. */
export async function addProject(home: TestHome, name: string): Promise<void> {
  const { url, token } = inject('sandbox');
  await askServer('/api/projects/create', { project_name: name });
  const file = path.join(home.home, '.dstack', 'config.yml');
  const config = clientConfig.parse(parse(await readFile(file, 'utf8')));
  await writeFile(file, stringify({ projects: [...config.projects, { name, url, token, default: false }] }));
}

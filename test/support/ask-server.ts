import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import { parse, stringify } from 'yaml';
import * as z from 'zod';
import { createRestClient } from '../../sandbox/rest-client.ts';
import type { TestHome } from './test-home.ts';

/** Calls the shared sandbox's server directly, without the code under test. */
async function askServer(request: string, body: unknown = {}): Promise<unknown> {
  const { url, token } = inject('sandbox');
  return createRestClient(url, token)(request, body);
}

const runList = z.array(z.looseObject({ status: z.string(), run_spec: z.looseObject({ run_name: z.string() }) }));

async function listRuns(options: { readonly only_active: boolean }): Promise<z.output<typeof runList>> {
  return runList.parse(await askServer('/api/runs/list', { project_name: 'main', limit: 100, ...options }));
}

/** Returns the names of the server's last hundred runs, including finished ones. */
export async function runNames(): Promise<readonly string[]> {
  return (await listRuns({ only_active: false })).map((run) => run.run_spec.run_name);
}

/** Stops runs to free their machines for other tests. An aborted run would occupy its machine for half a minute. */
export async function stopRuns(...names: readonly string[]): Promise<void> {
  const active = await listRuns({ only_active: true });
  const runs_names = active.map((run) => run.run_spec.run_name).filter((name) => names.includes(name));
  if (runs_names.length > 0) await askServer('/api/project/main/runs/stop', { runs_names, abort: false });
}

const clientConfig = z.looseObject({ projects: z.array(z.looseObject({ name: z.string() })) });

/** Creates another project, without fleets, and adds it to the CLI configuration of a home. */
export async function addProject(home: TestHome, name: string): Promise<void> {
  const { url, token } = inject('sandbox');
  await askServer('/api/projects/create', { project_name: name });
  const file = path.join(home.home, '.dstack', 'config.yml');
  const config = clientConfig.parse(parse(await readFile(file, 'utf8')));
  await writeFile(file, stringify({ projects: [...config.projects, { name, url, token, default: false }] }));
}

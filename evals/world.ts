import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { stringify } from 'yaml';
import * as z from 'zod';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { startLocalSandbox } from '../scripts/local-sandbox.ts';

const run = z.object({
  id: z.string(),
  status: z.string(),
  termination_reason: z.string().nullish(),
  run_spec: z.object({ run_name: z.string(), configuration: z.looseObject({}) }),
  latest_job_submission: z.object({ job_provisioning_data: z.object({ price: z.number() }).nullish() }).nullish(),
});

const fleet = z.object({ id: z.string(), name: z.string(), spec: z.object({ configuration: z.looseObject({}) }) });

export type Run = z.output<typeof run>;
export type Fleet = z.output<typeof fleet>;

/** dstack's state, as its server reports it. */
export interface State {
  readonly runs: readonly Run[];
  readonly fleets: readonly Fleet[];
}

/** A user's folder and a dstack server with simulated machines, for one try of one task. */
export interface World {
  readonly sandbox: Sandbox;
  /** Writes a file into the user's folder. */
  write(name: string, content: object | string): Promise<void>;
  read(name: string): Promise<string>;
  /** Submits a configuration with the bare CLI. */
  submit(configuration: { readonly name: string; readonly [key: string]: unknown }): Promise<void>;
  /** Waits until the run has one of the states. */
  waitFor(name: string, ...states: readonly string[]): Promise<void>;
  state(): Promise<State>;
  /** Returns the newest run of that name. */
  find(name: string): Promise<Run | undefined>;
  stop(): Promise<void>;
}

const LONGEST_WAIT_MS = 120_000;
const ACTIVE = ['pending', 'submitted', 'provisioning', 'running'] as const;

/** Resources that the sandbox's machines without a GPU have. They cost nothing. */
export const SMALL = { cpu: '1..', memory: '1GB..', disk: '1GB..' };

/** Returns whether the run may still cost money. */
export function isActive({ status }: Run): boolean {
  return ACTIVE.some((state) => state === status);
}

/** Starts a new sandbox. */
export async function createWorld(): Promise<World> {
  const sandbox = await startLocalSandbox(() => undefined);
  const inWorkspace = (name: string): string => path.join(sandbox.workspace, name);
  const state = async (): Promise<State> => ({
    runs: z
      .array(run)
      .parse(await sandbox.request('/api/runs/list', { project_name: 'main', limit: 100, only_active: false })),
    fleets: z.array(fleet).parse(await sandbox.request('/api/project/main/fleets/list')),
  });
  const write: World['write'] = (name, content) =>
    writeFile(inWorkspace(name), typeof content === 'string' ? content : stringify(content));
  const find: World['find'] = async (name) => (await state()).runs.find(({ run_spec }) => run_spec.run_name === name);
  return {
    sandbox,
    write,
    read: (name) => readFile(inWorkspace(name), 'utf8'),
    async submit(configuration) {
      const file = `${configuration.name}.dstack.yml`;
      await write(file, { type: 'task', resources: SMALL, ...configuration });
      await execa(sandbox.cli, ['apply', '-f', file, '-y', '-d'], {
        cwd: sandbox.workspace,
        env: sandbox.env,
        extendEnv: false,
      });
    },
    async waitFor(name, ...states) {
      const end = AbortSignal.timeout(LONGEST_WAIT_MS);
      for (;;) {
        const found = await find(name);
        if (found !== undefined && states.includes(found.status)) return;
        await delay(100, undefined, { signal: end });
      }
    },
    state,
    find,
    stop: () => sandbox.stop(),
  };
}

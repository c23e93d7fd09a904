import { inject } from 'vitest';
import * as z from 'zod';
import { createRestClient } from '../../../sandbox/rest-client.ts';

// What dstack's server itself says, without the CLI and the code under test. A number says how often a change was made.

const ask = (request: string, body: unknown = {}): Promise<unknown> =>
  createRestClient(inject('sandbox').url, inject('sandbox').token)(request, body);

const run = z.looseObject({
  id: z.string(),
  status: z.string(),
  run_spec: z.looseObject({
    run_name: z.string(),
    configuration: z.looseObject({ commands: z.array(z.string()).nullish(), priority: z.number().nullish() }),
  }),
});

type Run = z.output<typeof run>;

const listRuns = async (): Promise<readonly Run[]> =>
  z.array(run).parse(await ask('/api/runs/list', { project_name: 'main', limit: 100, only_active: false }));

/** Returns the runs of a name, including finished ones, newest first. */
export const runsOf = async (name: string): Promise<readonly Run[]> =>
  (await listRuns()).filter(({ run_spec: spec }) => spec.run_name === name);

const echoes = async (text: string): Promise<readonly Run[]> =>
  (await listRuns()).filter(({ run_spec: spec }) => spec.configuration.commands?.includes(text) === true);

/** Returns the number of runs whose first command prints these words, whatever their names are. */
export const countRuns = async (name: string, word: string): Promise<number> =>
  (await echoes(`echo ${name} ${word}`)).length;

/** Returns the names of the runs of one case. */
export const namesOf = async (name: string): Promise<readonly string[]> =>
  (await listRuns())
    .filter(({ run_spec: spec }) => spec.run_name === name || spec.configuration.commands?.[0]?.includes(` ${name}`))
    .map(({ run_spec: spec }) => spec.run_name);

export const hasPriority = async (name: string, priority: number): Promise<number> =>
  (await runsOf(name)).filter(({ run_spec: spec }) => spec.configuration.priority === priority).length;

const isFinished = ({ status }: Pick<Run, 'status'>): boolean => ['terminated', 'failed', 'done'].includes(status);

export const isStopped = async (name: string): Promise<number> => {
  const [newest] = await runsOf(name);
  return newest !== undefined && (newest.status === 'terminating' || isFinished(newest)) ? 1 : 0;
};

const resources = z.array(
  z.looseObject({
    name: z.string(),
    status: z.string(),
    spec: z.looseObject({ configuration: z.looseObject({ nodes: z.unknown() }) }).optional(),
  }),
);

type Kind = 'fleets' | 'volumes' | 'gateways';

const find = async (kind: Kind, name: string): Promise<z.output<typeof resources>> =>
  resources.parse(await ask(`/api/project/main/${kind}/list`)).filter((one) => one.name === name);

const nodesRange = z.looseObject({ max: z.number() });

/** Returns the number of fleets of a name that may have this many nodes. */
export const hasNodes = async (name: string, max: number): Promise<number> =>
  (await find('fleets', name)).filter(({ spec }) => nodesRange.safeParse(spec?.configuration.nodes).data?.max === max)
    .length;

export const countResources = async (kind: Kind, name: string): Promise<number> => (await find(kind, name)).length;

export async function isDeleted(kind: 'runs' | Kind, name: string): Promise<number> {
  if (kind === 'runs') return isRunGone(name);
  const left = await find(kind, name);
  return left.some(({ status }) => kind !== 'fleets' || status !== 'terminating') ? 0 : 1;
}

/** The list of runs has deleted ones, too. */
const isRunGone = (name: string): Promise<number> =>
  ask('/api/project/main/runs/get', { run_name: name }).then(
    () => 0,
    (error: unknown) => {
      if (error instanceof Error && / answered 400: /.test(error.message)) return 1;
      throw error;
    },
  );

/** Whether the server has finished what a case prepared, so that the next change isn't refused as busy. */
export async function isReady(configuration: Readonly<Record<string, unknown>>, name: string): Promise<boolean> {
  if (configuration['type'] === 'volume')
    return (await find('volumes', name)).some(({ status }) => status === 'active');
  if (configuration['type'] === 'gateway')
    return (await find('gateways', name)).some(({ status }) => status === 'failed');
  if (configuration['type'] === 'fleet') return true;
  const commands = configuration['commands'];
  const isEndless = Array.isArray(commands) && commands.includes('sleep infinity');
  return isEndless || (await runsOf(name)).every(isFinished);
}

/** Deletes what a case left, as far as dstack allows it. Runs are stopped elsewhere. */
export async function removeLeftovers(name: string): Promise<void> {
  for (const kind of ['fleets', 'volumes', 'gateways'] as const) {
    if ((await find(kind, name)).length > 0)
      await ask(`/api/project/main/${kind}/delete`, { names: [name] }).catch(() => undefined);
  }
}

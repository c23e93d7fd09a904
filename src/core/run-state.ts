/** Statuses of a run in their order; the last three are final. */
export const RUN_STATUSES = [
  'submitted',
  'provisioning',
  'running',
  'terminating',
  'terminated',
  'failed',
  'done',
] as const;

/** The states that can be waited for: `ready` is a service that answers, `finished` any of the final statuses. */
export const AWAITED = ['ready', 'finished', ...RUN_STATUSES] as const;

export type Awaited = (typeof AWAITED)[number];

const RUN_TYPES: ReadonlySet<string> = new Set(['task', 'service', 'dev-environment']);

/** Whether the type of a configuration is that of a run, which can end without being deleted. */
export const isRunType = (type: string): boolean => RUN_TYPES.has(type);

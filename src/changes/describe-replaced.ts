import { isRecord } from '../core/values.ts';

/** The property that each flag of dstack replaces. */
const REPLACED: Readonly<Record<string, readonly string[]>> = {
  '--gpu': ['resources', 'gpu'],
  '--cpu': ['resources', 'cpu'],
  '--memory': ['resources', 'memory'],
  '--disk': ['resources', 'disk'],
  '--max-price': ['max_price'],
  '--max-duration': ['max_duration'],
  '--spot-policy': ['spot_policy'],
  '--spot': ['spot_policy'],
  '--on-demand': ['spot_policy'],
  '--spot-auto': ['spot_policy'],
  '--backend': ['backends'],
  '--region': ['regions'],
  '--instance-type': ['instance_types'],
  '--fleet': ['fleets'],
  '--idle-duration': ['idle_duration'],
  '--name': ['name'],
};

/** Says which properties of a file the flags replace, as in `--gpu 2 replaces resources.gpu: RTX4090`. */
export function describeReplaced(
  configuration: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, unknown>> = {},
): string[] {
  return Object.entries(flags).flatMap(([flag, value]) => {
    const path = Object.hasOwn(REPLACED, flag) ? (REPLACED[flag] ?? []) : [];
    const before = path.reduce<unknown>((part, name) => (isRecord(part) ? part[name] : undefined), configuration);
    if (path.length === 0 || before === undefined || before === null || value === false) return [];
    const shown = value === true ? '' : ` ${(Array.isArray(value) ? value : [value]).map(String).join(', ')}`;
    return [`${flag}${shown} replaces ${path.join('.')}: ${showValue(before)}`];
  });
}

const showValue = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : JSON.stringify(value).slice(0, 200);

import { formatPrice } from '../../core/format-values.ts';
import type { InstanceTypeJson, RequirementsJson } from './run-json.ts';

type Range = { readonly min?: number | null | undefined; readonly max?: number | null | undefined } | null | undefined;

/** Formats a range as dstack does: `8..`, `2..4`, `1`; undefined if it is open at both ends. */
function formatRange(range: Range, unit = ''): string | undefined {
  const [min, max] = [range?.min, range?.max].map((end) =>
    end === null || end === undefined ? '' : `${Number(end.toFixed(2))}${unit}`,
  );
  if (min === '' && max === '') return undefined;
  return min === max ? min : `${min ?? ''}..${max ?? ''}`;
}

function formatGpu(gpu: RequirementsJson['resources']['gpu']): string | undefined {
  if (gpu === null || gpu === undefined) return undefined;
  const names = (gpu.name ?? []).join(',');
  // dstack's default: a GPU may be there, but isn't needed.
  if (gpu.count?.min === 0 && names === '') return undefined;
  const total = formatRange(gpu.total_memory, 'GB');
  const known = [names, formatRange(gpu.memory, 'GB'), formatRange(gpu.count)].filter(Boolean).join(':');
  return total === undefined ? known : `${known} total ${total}`;
}

/** Returns `name=value` for each value that is known. */
const nameKnown = (values: Readonly<Record<string, string | number | undefined>>): string =>
  Object.entries(values)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
    .join(' ');

/** Describes the hardware that a job asks for, in the words of dstack's plans: `gpu=RTX4090:1.. cpu=x86:2.. mem=8GB.., on-demand`. */
export function describeRequirements(requirements: RequirementsJson | null | undefined): string | undefined {
  if (requirements === null || requirements === undefined) return undefined;
  const { resources, spot, max_price: maxPrice } = requirements;
  const { cpu, memory, disk, gpu } = resources;
  const count = formatRange(cpu?.count);
  return [
    nameKnown({
      gpu: formatGpu(gpu),
      cpu: count === undefined ? undefined : [cpu?.arch ?? [], count].flat().join(':'),
      mem: formatRange(memory, 'GB'),
      disk: formatRange(disk?.size, 'GB'),
    }),
    spot === true ? 'spot' : spot === false ? 'on-demand' : 'spot or on-demand',
    ...(maxPrice === null || maxPrice === undefined ? [] : [`at most ${formatPrice(maxPrice)}`]),
  ].join(', ');
}

/** Formats a size; undefined if dstack doesn't know it. */
const formatGb = (mib: number | null | undefined, digits: number): string | undefined =>
  (mib ?? 0) > 0 ? `${Number(((mib ?? 0) / 1024).toFixed(digits))}GB` : undefined;

/** Describes GPUs as dstack does: `RTX4090:24GB:1`. */
export function describeGpus(instance: InstanceTypeJson | null | undefined): string | undefined {
  const gpus = instance?.resources?.gpus ?? [];
  const [gpu] = gpus;
  return gpu && [gpu.name, formatGb(gpu.memory_mib, 2) ?? [], gpus.length].flat().join(':');
}

/** Describes the CPUs, memory and disk of an instance; undefined if dstack doesn't know them. */
export function describeHardware(instance: InstanceTypeJson | null | undefined): string | undefined {
  const { cpus, memory_mib: memory, disk } = instance?.resources ?? {};
  const known = { cpu: cpus || undefined, mem: formatGb(memory, 1), disk: formatGb(disk?.size_mib, 1) };
  return nameKnown(known) || undefined;
}

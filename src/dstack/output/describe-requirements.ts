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
  // dstack's default: a GPU may be there, but isn't needed.
  if (gpu.count?.min === 0 && (gpu.name ?? []).length === 0) return undefined;
  const parts = [(gpu.name ?? []).join(','), formatRange(gpu.memory, 'GB'), formatRange(gpu.count)];
  const total = formatRange(gpu.total_memory, 'GB');
  const known = parts.filter((part) => part !== undefined && part !== '');
  return [known.join(':'), ...(total === undefined ? [] : [`total ${total}`])].join(' ');
}

/** Describes the hardware that a job asks for, in the words of dstack's plans: `gpu=RTX4090:1.. cpu=x86:2.. mem=8GB.., on-demand`. */
export function describeRequirements(requirements: RequirementsJson | null | undefined): string | undefined {
  if (requirements === null || requirements === undefined) return undefined;
  const { resources, spot, max_price: maxPrice } = requirements;
  const { cpu, memory, disk, gpu } = resources;
  const count = formatRange(cpu?.count);
  const named = {
    gpu: formatGpu(gpu),
    cpu: count === undefined ? undefined : [cpu?.arch ?? [], count].flat().join(':'),
    mem: formatRange(memory, 'GB'),
    disk: formatRange(disk?.size, 'GB'),
  };
  const words = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  return [
    words.join(' '),
    ...(spot === true ? ['spot'] : spot === false ? ['on-demand'] : ['spot or on-demand']),
    ...(maxPrice === null || maxPrice === undefined ? [] : [`at most ${formatPrice(maxPrice)}`]),
  ].join(', ');
}

/** Describes GPUs as dstack does: `RTX4090:24GB:1`. */
export function describeGpus(instance: InstanceTypeJson | null | undefined): string | undefined {
  const gpus = instance?.resources?.gpus ?? [];
  const [gpu] = gpus;
  if (gpu === undefined) return undefined;
  const memory = gpu.memory_mib ?? 0;
  return [gpu.name, ...(memory > 0 ? [`${Number((memory / 1024).toFixed(2))}GB`] : []), gpus.length].join(':');
}

/** Describes the CPUs, memory and disk of an instance; undefined if dstack doesn't know them. */
export function describeHardware(instance: InstanceTypeJson | null | undefined): string | undefined {
  const { cpus, memory_mib: memory, disk } = instance?.resources ?? {};
  const gb = (mib: number | null | undefined): string | undefined =>
    mib === null || mib === undefined || mib === 0 ? undefined : `${Number((mib / 1024).toFixed(1))}GB`;
  const parts = [
    cpus === null || cpus === undefined || cpus === 0 ? undefined : `cpu=${cpus}`,
    gb(memory) === undefined ? undefined : `mem=${gb(memory)}`,
    gb(disk?.size_mib) === undefined ? undefined : `disk=${gb(disk?.size_mib)}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(' ');
}

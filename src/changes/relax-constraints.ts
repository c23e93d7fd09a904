import { formatPrice } from '../core/format-values.ts';

/** Flags of `dstack offer`, without those that are undefined. */
export type OfferFlags = Readonly<Record<string, string | number | readonly string[]>>;

/** The constraints of a plan, in the words of dstack's table, and where each limit comes from. */
export interface Constraints {
  /** As in `cpu=x86:2.. mem=8GB.. disk=100GB.. gpu=RTX4090:1..`. */
  readonly resources: string;
  readonly spotPolicy: string | undefined;
  readonly maxPrice: number | undefined;
  /** Names the operator's price cap if that is what limits the price. */
  readonly cap: string | undefined;
  readonly backends: readonly string[];
  readonly regions: readonly string[];
  readonly instanceTypes: readonly string[];
  /** The fleets that may be used: those that the run names, or else all of the project. */
  readonly fleets: readonly string[];
  readonly namesFleets: boolean;
}

/** The same search without one of its constraints. */
export interface Relaxed {
  /** As in `without your limit of $0.30/h`. */
  readonly label: string;
  readonly flags: OfferFlags;
}

const SIZES: ReadonlyMap<string, string> = new Map([
  ['cpu', '--cpu'],
  ['mem', '--memory'],
  ['disk', '--disk'],
  ['gpu', '--gpu'],
]);

/** Returns the flags of `dstack offer` that search as a plan does. */
export function offerFlags(constraints: Constraints): OfferFlags {
  const { resources, spotPolicy, maxPrice, backends, regions, instanceTypes, fleets } = constraints;
  const sizes = [...resources.matchAll(/(?:^| )(cpu|mem|disk|gpu)=(\S+)/g)].map(([, name = '', value = '']) => [
    SIZES.get(name) ?? '',
    value,
  ]);
  const lists = { '--backend': backends, '--region': regions, '--instance-type': instanceTypes, '--fleet': fleets };
  return {
    ...Object.fromEntries(sizes),
    ...(spotPolicy === undefined ? {} : { '--spot-policy': spotPolicy }),
    ...(maxPrice === undefined ? {} : { '--max-price': maxPrice }),
    ...Object.fromEntries(Object.entries(lists).filter(([, names]) => names.length > 0)),
  };
}

/** Returns the searches that relax one constraint each, the least intrusive first. */
export function relaxConstraints(constraints: Constraints): Relaxed[] {
  const base = offerFlags(constraints);
  const { maxPrice, cap, spotPolicy, namesFleets } = constraints;
  const without = (...names: string[]): OfferFlags =>
    Object.fromEntries(Object.entries(base).filter(([name]) => !names.includes(name)));
  const gpu = typeof base['--gpu'] === 'string' ? base['--gpu'] : '';
  const relaxed: (Relaxed | undefined)[] = [
    maxPrice === undefined
      ? undefined
      : { label: `without ${cap ?? `your limit of ${formatPrice(maxPrice)}`}`, flags: without('--max-price') },
    spotPolicy === 'spot' || spotPolicy === 'on-demand'
      ? {
          label: spotPolicy === 'spot' ? 'on demand instead of spot' : 'on spot, which can be interrupted',
          flags: { ...base, '--spot-policy': spotPolicy === 'spot' ? 'on-demand' : 'spot' },
        }
      : undefined,
    ...relaxGpu(gpu).map(({ label, spec }) => ({ label, flags: { ...base, '--gpu': spec } })),
    { label: 'with any CPU, memory and disk', flags: without('--cpu', '--memory', '--disk') },
    has(base, '--region') ? { label: 'in any region', flags: without('--region') } : undefined,
    has(base, '--backend') ? { label: 'in any backend', flags: without('--backend') } : undefined,
    has(base, '--instance-type') ? { label: 'on any instance type', flags: without('--instance-type') } : undefined,
    {
      label: namesFleets
        ? 'outside of the fleets that it names'
        : 'outside of your fleets (a fleet that allows it has to be created)',
      flags: without('--fleet'),
    },
  ];
  return relaxed.filter((one) => one !== undefined);
}

const has = (flags: OfferFlags, name: string): boolean => Object.hasOwn(flags, name);

/** Returns the GPU without its name, and with a single one: `A100:80GB:8` is another with the same memory and count, or one A100. */
function relaxGpu(spec: string): { label: string; spec: string }[] {
  const parts = spec.split(':').filter((part) => part !== '');
  const isCount = (part: string): boolean => /^\d+(?:\.\.\d*)?$|^\.\.\d+$/.test(part);
  const isMemory = (part: string): boolean => /(?:GB|MB|TB)/i.test(part);
  const isName = (part: string): boolean => !isCount(part) && !isMemory(part);
  const count = Number(/^\d+/.exec(parts.find(isCount) ?? '')?.[0] ?? 0);
  const unnamed = parts.filter((part) => !isName(part));
  return [
    ...(count > 1
      ? [{ label: 'with fewer GPUs', spec: [...parts.filter((part) => !isCount(part)), '1..'].join(':') }]
      : []),
    ...(parts.some(isMemory)
      ? [{ label: 'with any GPU memory', spec: parts.filter((part) => !isMemory(part)).join(':') || '1..' }]
      : []),
    ...(parts.some((part) => isName(part) && !/^(?:nvidia|amd|google|intel|tenstorrent)$/i.test(part))
      ? [{ label: 'with another GPU', spec: unnamed.join(':') || '1..' }]
      : []),
  ];
}

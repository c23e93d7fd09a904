import * as z from 'zod';
import { formatPrice, isRecord } from '../core/values.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { describeGpus, instanceTypeJson, readJsonOutput } from '../dstack/output/json-output.ts';
import { readFleets } from '../dstack/output/read-tables.ts';

/** A plan that found no offers. */
interface FruitlessPlan {
  readonly properties: Readonly<Record<string, string>>;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly project: string | undefined;
  /** The folder whose default profile dstack reads. */
  readonly cwd: string;
  /** Names the operator's price cap if that is the limit. */
  readonly cap: string | undefined;
}

const offersJson = z.looseObject({
  offers: z.array(
    z.looseObject({
      backend: z.string(),
      region: z.string().nullish(),
      price: z.number(),
      availability: z.string().nullish(),
      instance: instanceTypeJson,
    }),
  ),
});
type FoundOffer = z.output<typeof offersJson>['offers'][number];

/** The explanation takes several searches: it is left out if the call has less time. */
const MIN_MS = 8_000;

/**
 * Says which single constraint excludes every offer, and the best offer without it. Undefined if dstack can't be asked, or there is too
 * little time.
 */
export async function explainNoOffers(dstack: DstackClient, plan: FruitlessPlan): Promise<string[] | undefined> {
  if (dstack.deadline.remainingMs() < MIN_MS) return undefined;
  const constraints = await readConstraints(dstack, plan);
  if (constraints === undefined) return undefined;
  const search = (flags: OfferFlags): Promise<FoundOffer | undefined> => findCheapest(dstack, plan, flags);
  const [same, ...found] = await Promise.all([
    search(offerFlags(constraints)),
    ...relaxConstraints(constraints).map(async (relaxed) => ({ relaxed, offer: await search(relaxed.flags) })),
  ]);
  // One machine could be found: several together need more than that.
  if (same !== undefined) return [...describeNodes(plan, same), ...describeFound(found)];
  const lines = describeFound(found);
  return lines.length > 0
    ? lines
    : ['No single change finds an offer: several of its constraints exclude everything (GPU, price, place, fleets).'];
}

function describeNodes({ configuration }: FruitlessPlan, offer: FoundOffer): string[] {
  const nodes = Number(configuration['nodes'] ?? 1);
  return nodes > 1
    ? [
        `one node fits (${describeOffer(offer)}), but ${nodes} nodes need a fleet with \`placement: cluster\` and as many machines`,
      ]
    : [`${describeOffer(offer)} fits, but it is taken now: wait, or see who uses it with ps`];
}

const describeFound = (found: readonly { relaxed: Relaxed; offer: FoundOffer | undefined }[]): string[] =>
  found.flatMap(({ relaxed, offer }) => (offer === undefined ? [] : [`${relaxed.label}: ${describeOffer(offer)}`]));

function describeOffer({ backend, region, price, instance, availability }: FoundOffer): string {
  const place = backend === 'remote' || backend === 'ssh' ? 'ssh' : [backend, region].filter(Boolean).join(' ');
  const machine = describeGpus(instance) ?? instance.name ?? 'a machine without a GPU';
  const state =
    availability === 'busy' || availability === 'not_available' ? `, ${availability.replace('_', ' ')} now` : '';
  return `${machine} at ${formatPrice(price)} (${place}${state})`;
}

async function findCheapest(
  dstack: DstackClient,
  { project, cwd }: FruitlessPlan,
  flags: OfferFlags,
): Promise<FoundOffer | undefined> {
  const { transcript, failure } = await dstack.tryRead(
    { command: 'offer', flags: { '--json': true, '--max-offers': 20, '--project': project, ...flags } },
    { cwd, guarded: false },
  );
  if (failure !== undefined) return undefined;
  const { data } = offersJson.safeParse(readJsonOutput(transcript.stdout));
  const offers = (data?.offers ?? []).toSorted((a, b) => a.price - b.price);
  const isFree = ({ availability }: FoundOffer): boolean => availability !== 'busy' && availability !== 'not_available';
  return offers.find(isFree) ?? offers[0];
}

async function readConstraints(dstack: DstackClient, plan: FruitlessPlan): Promise<Constraints | undefined> {
  const { properties, configuration, flags, project } = plan;
  const namesOf = (flag: string, property: string): readonly string[] =>
    toNames(flags[flag]) ?? toNames(configuration[property]) ?? [];
  const named = namesOf('--fleet', 'fleets');
  const listed = named.length > 0 ? named : await listFleets(dstack, project);
  if (listed === undefined) return undefined;
  const price = /^\$(\d+(?:\.\d+)?)$/.exec(properties['Max price'] ?? '')?.[1];
  return {
    resources: properties['Resources'] ?? '',
    spotPolicy: properties['Spot policy'],
    maxPrice: price === undefined ? undefined : Number(price),
    cap: plan.cap,
    backends: namesOf('--backend', 'backends'),
    regions: namesOf('--region', 'regions'),
    instanceTypes: namesOf('--instance-type', 'instance_types'),
    fleets: listed,
    namesFleets: named.length > 0,
  };
}

async function listFleets(dstack: DstackClient, project: string | undefined): Promise<readonly string[] | undefined> {
  const { transcript, failure } = await dstack.tryRead(
    { command: 'fleet', flags: { '--project': project } },
    { guarded: false },
  );
  return failure === undefined ? readFleets(transcript.stdout)?.map(({ name }) => name) : undefined;
}

/** Returns names, also of `{name, project}`; undefined for none. */
function toNames(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const names = (Array.isArray(value) ? value : [value]).flatMap((one: unknown) =>
    isRecord(one) ? (typeof one['name'] === 'string' ? [one['name']] : []) : [String(one)],
  );
  return names.length === 0 ? undefined : names;
}

/** Flags of `dstack offer`, without those that are undefined. */
type OfferFlags = Readonly<Record<string, string | number | readonly string[]>>;

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
interface Relaxed {
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

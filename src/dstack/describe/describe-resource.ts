import { formatDollars, formatPrice, plural } from '../../core/format-values.ts';
import { formatTime } from './describe-run.ts';
import { ifKnown, joinKnown, labeled, listFirst } from './lines.ts';
import type { ResourceFacts } from '../output/read-resource.ts';

/** Describes the status of a fleet, volume or gateway in one sentence. */
export const describeResourceStatus = ({ kind, name, status, statusMessage }: ResourceFacts): string =>
  `${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${name} is ${status}${statusMessage === undefined ? '' : ` (${statusMessage})`}.`;

/** Returns the lines with what a reader needs to know of a fleet, volume or gateway. */
export function describeResource(resource: ResourceFacts): string[] {
  const { backend, region, createdAt, costUsd, sizeGb, external, attachedTo, domain, hostname, isDefault } = resource;
  return [
    ...labeled({ place: joinKnown([backend, region], ' ') || undefined, created: ifKnown(createdAt, formatTime) }),
    ...describeFleet(resource),
    ...labeled({
      size: ifKnown(sizeGb, (gb) => `${gb}GB${external === true ? ', external (dstack does not delete it)' : ''}`),
      'attached to': ifKnown(attachedTo, (names) => names.join(', ') || 'nothing'),
      domain,
      address: ifKnown(hostname, (host) => `${host} (the DNS record of the domain points to it)`),
      default: ifKnown(isDefault, (is) => (is ? 'yes' : 'no')),
      'cost so far': ifKnown(costUsd, formatDollars),
    }),
  ];
}

function describeFleet({ nodesMin, nodesMax, pricePerHour, instances }: ResourceFacts): string[] {
  if (instances === undefined) return [];
  const present = instances.filter(({ status }) => status !== 'terminated');
  const gone = instances.length - present.length;
  return [
    ...labeled({ nodes: ifKnown(nodesMin, (min) => `${min}..${nodesMax ?? ''}`) }),
    `${plural(present.length, 'instance')}${gone === 0 ? '' : ` (and ${gone} terminated)`}${pricePerHour === undefined ? '' : `, ${formatPrice(pricePerHour)} together`}`,
    ...listFirst(present, ({ error }) => error !== undefined, { describe: describeInstance, more: '`full` shows all' }),
  ];
}

function describeInstance(one: NonNullable<ResourceFacts['instances']>[number]): string {
  const { instance, status, gpu, hardware, pricePerHour, job, error } = one;
  const runs = [ifKnown(gpu, (name) => `gpu=${name}`), hardware, ifKnown(pricePerHour, formatPrice)];
  return `instance ${instance}: ${joinKnown([status, ...runs, ifKnown(job, (name) => `job ${name}`), error], ', ')}`;
}

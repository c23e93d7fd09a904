import { formatDollars, formatPrice, plural } from '../../core/format-values.ts';
import { formatTime } from './describe-run.ts';
import type { ResourceFacts } from '../output/read-resource.ts';

/** Describes the status of a fleet, volume or gateway in one sentence. */
export const describeResourceStatus = ({ kind, name, status, statusMessage }: ResourceFacts): string =>
  `${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${name} is ${status}${statusMessage === undefined ? '' : ` (${statusMessage})`}.`;

/** Returns the lines with what a reader needs to know of a fleet, volume or gateway. */
export function describeResource(resource: ResourceFacts): string[] {
  const { backend, region, createdAt, costUsd } = resource;
  const place = [backend, region].filter((part) => part !== undefined).join(' ');
  return [
    ...(place === '' ? [] : [`place: ${place}`]),
    ...(createdAt === undefined ? [] : [`created: ${formatTime(createdAt)}`]),
    ...describeFleet(resource),
    ...describeVolume(resource),
    ...describeGateway(resource),
    ...(costUsd === undefined ? [] : [`cost so far: ${formatDollars(costUsd)}`]),
  ];
}

const MAX_INSTANCES = 20;

function describeFleet({ nodesMin, nodesMax, pricePerHour, instances }: ResourceFacts): string[] {
  if (instances === undefined) return [];
  const nodes = nodesMin === undefined ? [] : [`nodes: ${nodesMin}..${nodesMax ?? ''}`];
  const present = instances.filter(({ status }) => status !== 'terminated');
  // What is wrong comes first.
  const sorted = present.toSorted((a, b) => Number(b.error !== undefined) - Number(a.error !== undefined));
  const shown = sorted
    .slice(0, MAX_INSTANCES)
    .map(({ instance, status, gpu, hardware, pricePerHour: price, job, error }) => {
      const parts = [
        status,
        ...(gpu === undefined ? [] : [`gpu=${gpu}`]),
        ...(hardware === undefined ? [] : [hardware]),
        ...(price === undefined ? [] : [formatPrice(price)]),
        ...(job === undefined ? [] : [`job ${job}`]),
        ...(error === undefined ? [] : [error]),
      ];
      return `- instance ${instance}: ${parts.join(', ')}`;
    });
  const rest = present.length - shown.length;
  const gone = instances.length - present.length;
  return [
    ...nodes,
    `${plural(present.length, 'instance')}${gone === 0 ? '' : ` (and ${gone} terminated)`}${pricePerHour === undefined ? '' : `, ${formatPrice(pricePerHour)} together`}`,
    ...shown,
    ...(rest === 0 ? [] : [`- and ${rest} more: \`full\` shows all`]),
  ];
}

function describeVolume({ sizeGb, external, attachedTo }: ResourceFacts): string[] {
  if (attachedTo === undefined) return [];
  return [
    ...(sizeGb === undefined
      ? []
      : [`size: ${sizeGb}GB${external === true ? ', external (dstack does not delete it)' : ''}`]),
    `attached to: ${attachedTo.join(', ') || 'nothing'}`,
  ];
}

function describeGateway({ hostname, domain, isDefault }: ResourceFacts): string[] {
  return [
    ...(domain === undefined ? [] : [`domain: ${domain}`]),
    ...(hostname === undefined ? [] : [`address: ${hostname} (the DNS record of the domain points to it)`]),
    ...(isDefault === undefined ? [] : [`default: ${isDefault ? 'yes' : 'no'}`]),
  ];
}

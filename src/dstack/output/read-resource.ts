import * as z from 'zod';
import { addPrices, describeGpus, describeHardware, omitAbsent, resourceJson } from './json-output.ts';
import type { ResourceJson } from './json-output.ts';

export const resourceFacts = z.object({
  kind: z.enum(['fleet', 'volume', 'gateway']),
  name: z.string(),
  id: z.string(),
  project: z.string().optional(),
  status: z.string(),
  statusMessage: z.string().optional(),
  createdAt: z.string().optional(),
  backend: z.string().optional(),
  region: z.string().optional(),
  costUsd: z.number().optional(),
  pricePerHour: z.number().optional().describe('All its instances together'),
  /** Fleets only. */
  nodesMin: z.number().optional(),
  nodesMax: z.number().optional(),
  instances: z
    .array(
      z.object({
        instance: z.number(),
        status: z.string(),
        gpu: z.string().optional(),
        hardware: z.string().optional(),
        pricePerHour: z.number().optional(),
        job: z.string().optional(),
        error: z.string().optional(),
      }),
    )
    .optional(),
  /** Volumes only. */
  sizeGb: z.number().optional(),
  external: z.boolean().optional(),
  attachedTo: z.array(z.string()).optional(),
  /** Gateways only. */
  hostname: z.string().optional(),
  domain: z.string().optional(),
  isDefault: z.boolean().optional(),
});

export type ResourceFacts = z.output<typeof resourceFacts>;

const readInstance = (instance: ResourceJson['instances'][number]) =>
  omitAbsent({
    instance: instance.instance_num ?? 0,
    status: instance.unreachable === true ? `${instance.status} (unreachable)` : instance.status,
    gpu: describeGpus(instance.instance_type),
    hardware: describeHardware(instance.instance_type),
    pricePerHour: instance.price,
    job: instance.job_name,
    error: instance.termination_reason_message ?? instance.termination_reason,
  });

/**
 * Parses what `dstack fleet get --json` prints, or the same for a volume or a gateway.
 * @throws z.ZodError if it isn't such a resource.
 */
export function readResource(kind: ResourceFacts['kind'], value: unknown): ResourceFacts {
  const { configuration: own, spec, instances, ...resource } = resourceJson.parse(value);
  const { nodes, ssh_config: ssh } = spec?.configuration ?? {};
  const present = instances.filter(({ status }) => status !== 'terminated');
  const attachedTo = (resource.attachments ?? []).flatMap(({ instance: { fleet_name: fleet, instance_num: number } }) =>
    fleet === undefined ? [] : [`${fleet}-${number ?? 0}`],
  );
  return omitAbsent({
    kind,
    name: resource.name,
    id: resource.id,
    project: resource.project_name,
    status: resource.status,
    statusMessage: resource.status_message,
    createdAt: resource.created_at,
    backend: ssh === null || ssh === undefined ? own?.backend : 'ssh',
    region: own?.region,
    costUsd: resource.cost,
    pricePerHour: addPrices(present.map(({ price }) => price)),
    nodesMin: nodes?.min,
    nodesMax: nodes?.max,
    instances: kind === 'fleet' ? instances.map(readInstance) : undefined,
    sizeGb: own?.size,
    external: resource.external,
    attachedTo: kind === 'volume' ? attachedTo : undefined,
    // Without a load balancer, the domain has to point at the only replica (core/models/gateways.py).
    hostname: resource.hostname ?? resource.replicas?.[0]?.hostname ?? resource.ip_address,
    domain: resource.wildcard_domain,
    isDefault: resource.default,
  });
}

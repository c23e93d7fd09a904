import * as z from 'zod';
import { describeGpus, describeHardware } from './describe-requirements.ts';
import { addPrices, omitAbsent } from './read-json-output.ts';
import { amount, instanceTypeJson, text } from './run-json.ts';

// The parts of core/models/fleets.py, volumes.py and gateways.py in 0.22.5 that are read. Other fields are ignored, and fields that a
// version may lack are optional.

const common = z.looseObject({
  id: z.string(),
  name: z.string(),
  project_name: text,
  status: z.string(),
  status_message: text,
  created_at: text,
});
const place = { backend: text, region: text };

const fleetJson = common.extend({
  spec: z.looseObject({
    configuration: z.looseObject({
      nodes: z.looseObject({ min: amount, max: amount }).nullish(),
      ssh_config: z.unknown().optional(),
    }),
  }),
  instances: z
    .array(
      z.looseObject({
        instance_num: amount,
        status: z.string(),
        price: amount,
        unreachable: z.boolean().nullish(),
        termination_reason: text,
        termination_reason_message: text,
        job_name: text,
        instance_type: instanceTypeJson.nullish(),
      }),
    )
    .default([]),
});

const volumeJson = common.extend({
  external: z.boolean().nullish(),
  cost: amount,
  configuration: z.looseObject({ size: amount, ...place }),
  attachments: z
    .array(z.looseObject({ instance: z.looseObject({ fleet_name: text, instance_num: amount }) }))
    .nullish(),
});

const gatewayJson = common.extend({
  hostname: text,
  ip_address: text,
  wildcard_domain: text,
  default: z.boolean().nullish(),
  configuration: z.looseObject(place),
  replicas: z.array(z.looseObject({ hostname: text })).nullish(),
});

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

const readCommon = (kind: ResourceFacts['kind'], resource: z.output<typeof common>): ResourceFacts =>
  omitAbsent({
    kind,
    name: resource.name,
    id: resource.id,
    project: resource.project_name,
    status: resource.status,
    statusMessage: resource.status_message,
    createdAt: resource.created_at,
  });

/**
 * Parses a fleet printed by `dstack fleet get --json`.
 * @throws z.ZodError if it isn't a fleet.
 */
export function readFleet(value: unknown): ResourceFacts {
  const fleet = fleetJson.parse(value);
  const { nodes, ssh_config: ssh } = fleet.spec.configuration;
  const present = fleet.instances.filter(({ status }) => status !== 'terminated');
  const instances = fleet.instances.map((instance) =>
    omitAbsent({
      instance: instance.instance_num ?? 0,
      status: instance.unreachable === true ? `${instance.status} (unreachable)` : instance.status,
      gpu: describeGpus(instance.instance_type),
      hardware: describeHardware(instance.instance_type),
      pricePerHour: instance.price,
      job: instance.job_name,
      error: instance.termination_reason_message ?? instance.termination_reason,
    }),
  );
  return {
    ...readCommon('fleet', fleet),
    ...omitAbsent({
      backend: ssh === null || ssh === undefined ? undefined : 'ssh',
      nodesMin: nodes?.min,
      nodesMax: nodes?.max,
      pricePerHour: addPrices(present.map(({ price }) => price)),
    }),
    instances,
  };
}

/**
 * Parses a volume printed by `dstack volume get --json`.
 * @throws z.ZodError if it isn't a volume.
 */
export function readVolume(value: unknown): ResourceFacts {
  const volume = volumeJson.parse(value);
  const attachedTo = (volume.attachments ?? []).flatMap(({ instance }) =>
    instance.fleet_name !== undefined ? [`${instance.fleet_name}-${instance.instance_num ?? 0}`] : [],
  );
  return {
    ...readCommon('volume', volume),
    ...omitAbsent({
      backend: volume.configuration.backend,
      region: volume.configuration.region,
      sizeGb: volume.configuration.size,
      external: volume.external,
      costUsd: volume.cost,
    }),
    attachedTo,
  };
}

/**
 * Parses a gateway printed by `dstack gateway get --json`.
 * @throws z.ZodError if it isn't a gateway.
 */
export function readGateway(value: unknown): ResourceFacts {
  const gateway = gatewayJson.parse(value);
  return {
    ...readCommon('gateway', gateway),
    ...omitAbsent({
      backend: gateway.configuration.backend,
      region: gateway.configuration.region,
      // Without a load balancer, the domain has to point at the only replica (core/models/gateways.py).
      hostname: gateway.hostname ?? gateway.replicas?.[0]?.hostname ?? gateway.ip_address,
      domain: gateway.wildcard_domain,
      isDefault: gateway.default,
    }),
  };
}

import * as z from 'zod';
import { describeGpus, describeHardware } from './describe-requirements.ts';
import { omitAbsent } from './read-json-output.ts';
import { instanceTypeJson } from './run-json.ts';

// The parts of core/models/fleets.py, volumes.py and gateways.py in 0.22.5 that are read. Other fields are ignored, and fields that a
// version may lack are optional.

const text = z.string().nullish();
const amount = z.number().nullish();
const place = { backend: text, region: text };

const fleetJson = z.looseObject({
  id: z.string(),
  name: z.string(),
  project_name: text,
  status: z.string(),
  status_message: text,
  created_at: text,
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
        hostname: text,
        price: amount,
        unreachable: z.boolean().nullish(),
        health_status: text,
        termination_reason: text,
        termination_reason_message: text,
        job_name: text,
        instance_type: instanceTypeJson.nullish(),
        ...place,
      }),
    )
    .default([]),
});

const volumeJson = z.looseObject({
  id: z.string(),
  name: z.string(),
  project_name: text,
  status: z.string(),
  status_message: text,
  external: z.boolean().nullish(),
  created_at: text,
  cost: amount,
  volume_id: text,
  configuration: z.looseObject({ size: amount, ...place }),
  attachments: z
    .array(z.looseObject({ instance: z.looseObject({ fleet_name: text, instance_num: amount }) }))
    .nullish(),
});

const gatewayJson = z.looseObject({
  id: z.string(),
  name: z.string(),
  project_name: text,
  status: z.string(),
  status_message: text,
  hostname: text,
  ip_address: text,
  wildcard_domain: text,
  default: z.boolean().nullish(),
  created_at: text,
  configuration: z.looseObject(place),
  replicas: z.array(z.looseObject({ replica_num: amount, hostname: text, status: text, ...place })).nullish(),
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

interface Common {
  readonly id: string;
  readonly name: string;
  readonly project_name?: string | null | undefined;
  readonly status: string;
  readonly status_message?: string | null | undefined;
  readonly created_at?: string | null | undefined;
}

function readCommon(kind: ResourceFacts['kind'], resource: Common): ResourceFacts {
  return omitAbsent({
    kind,
    name: resource.name,
    id: resource.id,
    project: resource.project_name,
    status: resource.status,
    statusMessage: resource.status_message,
    createdAt: resource.created_at,
  });
}

/**
 * Parses a fleet printed by `dstack fleet get --json`.
 * @throws z.ZodError if it isn't a fleet.
 */
export function readFleet(value: unknown): ResourceFacts {
  const fleet = fleetJson.parse(value);
  const { nodes, ssh_config: ssh } = fleet.spec.configuration;
  const isSsh = ssh !== null && ssh !== undefined;
  const billed = fleet.instances.filter(({ status }) => status !== 'terminated').flatMap(({ price }) => price ?? []);
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
      backend: isSsh ? 'ssh' : undefined,
      nodesMin: nodes?.min,
      nodesMax: nodes?.max,
      pricePerHour: billed.length === 0 ? undefined : Number(billed.reduce((sum, price) => sum + price, 0).toFixed(6)),
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
    typeof instance.fleet_name === 'string' ? [`${instance.fleet_name}-${instance.instance_num ?? 0}`] : [],
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

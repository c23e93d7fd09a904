import { WHOLE_CHARS } from '../../core/report.ts';
import { describeResource, describeResourceStatus } from '../describe/describe-facts.ts';
import { readJsonOutput } from '../output/json-output.ts';
import { readResource } from '../output/read-resource.ts';
import type { ResourceFacts } from '../output/read-resource.ts';
import type { DstackClient } from './dstack-client.ts';
import { getCommand } from './find-resource.ts';

/** A kind of resource without jobs. */
export type PlainKind = ResourceFacts['kind'];

export interface ResourceRequest {
  readonly name: string;
  readonly project?: string | undefined;
  readonly full?: boolean | undefined;
}

/** Reports one resource other than a run. */
export async function reportResource(
  dstack: Pick<DstackClient, 'read'>,
  kind: PlainKind,
  { name, project, full = false }: ResourceRequest,
) {
  const transcript = await dstack.read(getCommand({ kind, name, project }));
  const resource = readResource(kind, readJsonOutput(transcript.stdout));
  return {
    outcome: 'done' as const,
    summary: describeResourceStatus(resource),
    details: describeResource(resource),
    printed: full ? [{ transcript, maxChars: WHOLE_CHARS }] : [],
    facts: { resource, status: resource.status },
  };
}

import { ToolError } from '../core/errors.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf } from '../dstack/client/find-resource.ts';
import { CHANGE_LIMIT_MS } from '../dstack/run/command-call.ts';
import type { UnfinishedChange } from '../safety/audit/unfinished-changes.ts';

/** Looks up the resource of a change that an earlier server left without a result, and says what is known of it by now. */
export async function describeUnfinishedState(
  dstack: DstackClient,
  { entry, approvedAt }: UnfinishedChange,
): Promise<string> {
  const state = await lookUp(dstack, entry);
  // Its process may outlive its server.
  const mayGoOn = Date.now() - approvedAt.getTime() < CHANGE_LIMIT_MS;
  return `${state} ${mayGoOn ? 'dstack may still be working on it. ' : ''}Check with get, ps, fleet or list before you repeat it.`;
}

async function lookUp(dstack: DstackClient, { resource, project, server }: UnfinishedChange['entry']): Promise<string> {
  const { name } = resource;
  const kind = kindOf(resource.kind);
  if (name === undefined) return "Its name isn't known.";
  const isReachable = await dstack.endpoint(project).then(
    (endpoint) => endpoint.server === server,
    (error: unknown) => {
      if (error instanceof ToolError) return false;
      throw error;
    },
  );
  const status = isReachable ? await lookUpStatus(dstack, { kind, name, project }) : undefined;
  if (status === undefined) return `The ${kind} ${name} couldn't be looked up.`;
  return status === 'gone' ? `There is no ${kind} ${name} now.` : `The ${kind} ${name} is ${status} now.`;
}

/** Returns the status of a resource: `gone` if there is none of that name, undefined if dstack can't be asked. */
const lookUpStatus = (dstack: DstackClient, wanted: Parameters<typeof findResource>[1]): Promise<string | undefined> =>
  findResource(dstack, wanted).then(
    (found) => (found === undefined ? 'gone' : found.status),
    () => undefined,
  );

import { inputRequired, inputResponse } from '@modelcontextprotocol/server';
import type { InputRequiredResult, ServerContext } from '@modelcontextprotocol/server';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';

/** The key of the request for roots and of its answer. */
const ROOTS = 'roots';

/** A client that takes longer has lost the request. */
const TIMEOUT_MS = 2_000;
const MAX_ROOTS = 20;

const listed = z.object({ roots: z.array(z.object({ uri: z.string() })) });

/** Returns the result that has a client of protocol 2026-07-28 repeat the call with its roots. */
export const requestRoots = (): InputRequiredResult =>
  inputRequired({ inputRequests: { [ROOTS]: inputRequired.listRoots() } });

/** Returns the roots in a repeated call; undefined if the client sent none. */
export function readRoots(context: ServerContext): readonly string[] | undefined {
  const response = inputResponse(context.mcpReq.inputResponses, ROOTS);
  return response.kind === 'roots' ? toFolders(response) : undefined;
}

/** Asks a client of an older protocol for its roots; undefined if it doesn't answer. */
export async function askForRoots(context: ServerContext): Promise<readonly string[] | undefined> {
  const options = { timeout: TIMEOUT_MS, signal: context.mcpReq.signal };
  return context.mcpReq.send({ method: 'roots/list' }, options).then(toFolders, () => undefined);
}

/** Returns the folders on this computer, as paths. */
function toFolders(answer: unknown): readonly string[] | undefined {
  const { data } = listed.safeParse(answer);
  return data?.roots.slice(0, MAX_ROOTS).flatMap(({ uri }) => {
    try {
      return [fileURLToPath(uri)];
    } catch {
      return [];
    }
  });
}

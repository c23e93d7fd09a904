import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import type { McpServer, ReadResourceResult, ServerContext } from '@modelcontextprotocol/server';
import { loadSkills } from '@modelcontextprotocol/server/ext/skills/node';
import type { Log } from '../core/log.ts';
import type { ReadCall } from './read-through-tool.ts';
import type { NameSource } from './completions.ts';
import { RESOURCES, readVariable, runOfUri } from './resource-definitions.ts';
import type { ResourceDefinition } from './resource-definitions.ts';
import type { RunWatch } from './watch-runs.ts';
import { skillsFolder } from '../settings/bundled-files.ts';

/** Registers every resource: what is read comes from a tool's call, with all that such a call goes through. */
export function serveResources(server: McpServer, names: NameSource, call: ReadCall): void {
  for (const door of RESOURCES) {
    const { name, uri, variable, title, description } = door;
    const config = { title, description, mimeType: door.verbatim ?? 'text/plain' };
    if (variable === undefined) {
      server.registerResource(name, uri, config, (url, context) => read(door, '', { url, context, call }));
      continue;
    }
    const template = new ResourceTemplate(uri, {
      // Clients ask for the list when they start: it doesn't run dstack. Names come by completion.
      list: undefined,
      complete: { [variable.name]: (typed) => names.complete(variable.completes, typed) },
    });
    server.registerResource(name, template, config, (url, variables, context) => {
      const raw = variables[variable.name];
      const found = readVariable(variable, typeof raw === 'string' ? raw : '');
      if ('problem' in found) throw new ProtocolError(ProtocolErrorCode.InvalidParams, found.problem);
      return read(door, found.value, { url, context, call });
    });
  }
}

interface Reading {
  readonly url: URL;
  readonly context: ServerContext;
  readonly call: ReadCall;
}

async function read(
  door: ResourceDefinition,
  value: string,
  { url, context, call }: Reading,
): Promise<ReadResourceResult> {
  const answer = await call(door.tool, door.toInput(value), context.mcpReq.signal);
  const { verbatim } = door;
  if (!answer.isError) {
    const text = verbatim === undefined ? answer.text : withoutCommand(answer.structured['output']);
    return { contents: [{ uri: url.href, mimeType: verbatim ?? 'text/plain', text }] };
  }
  const code = answer.structured['code'];
  if (code === 'not-found' || code === 'unknown-command' || code === 'file-not-found')
    throw new ResourceNotFoundError(url.href, answer.text);
  throw new ProtocolError(
    answer.structured['outcome'] === 'refused' ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError,
    answer.text,
  );
}

/** What was printed begins with the command that printed it. */
const withoutCommand = (output: unknown): string => String(output).replace(/^\$ [^\n]*\n?/, '');

/** Serves `resources/subscribe` of protocol 2025-11-25, and gives what ends all subscriptions of this connection. */
export function serveSubscriptions(server: McpServer, watch: RunWatch): () => void {
  const open = new Map<string, () => void>();
  server.server.setRequestHandler('resources/subscribe', ({ params: { uri } }) => {
    const run = runOfUri(uri);
    if (run === undefined)
      throw new ProtocolError(
        ProtocolErrorCode.InvalidParams,
        `${uri.slice(0, 200)} sends no updates. dstack://runs/{name} does, for the name of a run.`,
      );
    if (open.has(uri)) return {};
    const end = watch.watch(run);
    if (end === undefined)
      throw new ProtocolError(ProtocolErrorCode.InternalError, 'Too many runs are watched already.');
    open.set(uri, end);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    open.get(uri)?.();
    open.delete(uri);
    return {};
  });
  return () => {
    for (const end of open.values()) end();
    open.clear();
  };
}

/** Serves the skill for agents (SEP-2640). A package without it is served all the same. */
export async function serveSkills(server: McpServer, log: Log): Promise<void> {
  try {
    const skills = await loadSkills(skillsFolder(), {
      strict: true,
      onWarning: (warning) => log.warn({ warning }, 'skill'),
    });
    skills.attach(server);
  } catch (error) {
    log.warn({ err: error }, 'no skill');
  }
}

import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import type { McpServer, ReadResourceResult, ServerContext } from '@modelcontextprotocol/server';
import type { SkillCatalog } from '@modelcontextprotocol/server/ext/skills';
import { loadSkills } from '@modelcontextprotocol/server/ext/skills/node';
import { readFile } from 'node:fs/promises';
import { CARD_MIME_TYPE, CARD_URI } from '../core/card.ts';
import type { Log } from '../core/log.ts';
import type { ReadThroughTool } from './read-through-tool.ts';
import type { Completions } from './completions.ts';
import { RESOURCES, readVariable } from './resource-definitions.ts';
import type { ResourceDefinition } from './resource-definitions.ts';
import { skillsFolder } from '../settings/bundled-files.ts';

/** Registers every resource. Its content comes from a tool call, with every check of such a call. */
export function registerResources(server: McpServer, completions: Completions, call: ReadThroughTool): void {
  for (const definition of RESOURCES) {
    const { name, uri, variable } = definition;
    const config = describeResource(definition);
    if (variable === undefined) {
      server.registerResource(name, uri, config, (url, context) => read(definition, '', { url, context, call }));
      continue;
    }
    const template = new ResourceTemplate(uri, {
      // Clients ask for the list when they start, so it doesn't run dstack. Completions supply the names.
      list: undefined,
      complete: { [variable.name]: (typed) => completions.complete(variable.completes, typed) },
    });
    server.registerResource(name, template, config, (url, variables, context) => {
      const raw = variables[variable.name];
      const found = readVariable(variable, typeof raw === 'string' ? raw : '');
      if ('problem' in found) throw new ProtocolError(ProtocolErrorCode.InvalidParams, found.problem);
      return read(definition, found.value, { url, context, call });
    });
  }
}

function describeResource({
  title,
  description,
  verbatim,
}: Pick<ResourceDefinition, 'title' | 'description' | 'verbatim'>): {
  title: string;
  description: string;
  mimeType: string;
} {
  return { title, description, mimeType: verbatim ?? 'text/plain' };
}

interface Reading {
  readonly url: URL;
  readonly context: ServerContext;
  readonly call: ReadThroughTool;
}

async function read(
  definition: ResourceDefinition,
  value: string,
  { url, context, call }: Reading,
): Promise<ReadResourceResult> {
  const answer = await call(definition.tool, definition.toInput(value), context.mcpReq.signal);
  const { verbatim } = definition;
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

/** Removes the line with the command from the output. */
const withoutCommand = (output: unknown): string => String(output).replace(/^\$ [^\n]*\n?/, '');

/** The page may load, frame and connect to nothing: it contains everything it needs. The clipboard is for its copy buttons. */
const CARD_PAGE_META = { ui: { csp: {}, permissions: { clipboardWrite: {} }, prefersBorder: true } };

const CARD = {
  title: 'dstack card',
  description: 'Shows a plan with Approve and Decline, runs, and offers',
  mimeType: CARD_MIME_TYPE,
  _meta: CARD_PAGE_META,
};

/** Registers the card's page. It contains no data: its data comes with each result. */
export function registerCard(server: McpServer, file: string): void {
  server.registerResource('card', CARD_URI, CARD, async () => ({
    contents: [{ uri: CARD_URI, mimeType: CARD_MIME_TYPE, text: await readFile(file, 'utf8'), _meta: CARD_PAGE_META }],
  }));
}

/** Lists the resources for each client: a host without cards would offer the card's page to its model. */
export function listResources(
  server: McpServer,
  showsCards: (context: ServerContext) => boolean,
  skills: SkillCatalog | undefined,
): void {
  server.server.setRequestHandler('resources/list', (_request, context) => ({
    resources: [
      ...RESOURCES.filter(({ variable }) => variable === undefined).map(({ name, uri, ...definition }) => ({
        name,
        uri,
        ...describeResource(definition),
      })),
      ...(showsCards(context) ? [{ name: 'card', uri: CARD_URI, ...CARD }] : []),
      ...(skills?.entries ?? []).map(({ uri, frontmatter: { name, description } }) => ({
        name,
        uri,
        description,
        mimeType: 'text/markdown',
      })),
    ],
  }));
}

/** Registers the skills for agents (SEP-2640). Without them, the server works as usual. */
export async function registerSkills(server: McpServer, log: Log): Promise<SkillCatalog | undefined> {
  try {
    const skills = await loadSkills(skillsFolder(), {
      strict: true,
      onWarning: (warning) => log.warn({ warning }, 'skill'),
    });
    skills.attach(server);
    return skills;
  } catch (error) {
    log.warn({ err: error }, 'no skills');
    return undefined;
  }
}

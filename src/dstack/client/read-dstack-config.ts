import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';

const text = z.string().optional().catch(undefined);

/** A project of the file, as text: dstack's own reader knows more kinds of values, and takes each as text or as a truth value. */
const configuredProject = z.looseObject({ name: z.string(), url: text, token: text, default: text });

const configFile = z.looseObject({ projects: z.array(z.unknown()) });

type ConfiguredProject = z.output<typeof configuredProject>;

/** The CLI's projects and servers, read as the CLI itself reads them. Contains secrets: for masking, never for showing. */
export interface DstackConfig {
  /** The project of a command without `--project`. */
  readonly defaultProject: string | undefined;
  readonly projects: readonly { readonly name: string; readonly url: string | undefined }[];
  readonly secrets: readonly string[];
  /** Returns the token of a project, for its own server alone. A function, so that no log of the rest has it. */
  readonly tokenFor: (project: string) => string | undefined;
  /** The server of every project, if dstack's own variables name one; they take precedence over the file. */
  readonly serverOfEnvironment: string | undefined;
}

/**
 * Reads `~/.dstack/config.yml` and dstack's own variables (`DSTACK_PROJECT`, `DSTACK_SERVER_URL`, `DSTACK_TOKEN`).
 * Treats a missing or broken file as no projects: the CLI then reports that in its own words, and the gate sends nothing to a server that
 * isn't known here. The tokens of a broken file are secrets all the same.
 */
export async function readDstackConfig(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<DstackConfig> {
  const content = await readFile(path.join(home, '.dstack', 'config.yml'), 'utf8').catch(() => '');
  const file = readProjects(content);
  const url = env['DSTACK_SERVER_URL'];
  const fromEnv =
    url === undefined
      ? []
      : [{ name: env['DSTACK_PROJECT'] || 'main', url, token: env['DSTACK_TOKEN'], default: 'true' }];
  const all = [...fromEnv, ...file];
  return {
    // _internal/core/services/api_client.py: the URL counts only together with a token.
    serverOfEnvironment: env['DSTACK_TOKEN'] === undefined ? undefined : url,
    // An empty variable counts as none, for the CLI as well.
    defaultProject: env['DSTACK_PROJECT'] || all.find((project) => TRUE.test(project.default ?? ''))?.name,
    projects: all.map((project) => ({ name: project.name, url: project.url })),
    // DSTACK_TOKEN overrides the configured one, also without a server.
    tokenFor: (project) => env['DSTACK_TOKEN'] ?? all.find(({ name }) => name === project)?.token,
    secrets: [
      ...new Set([
        ...all.flatMap((project) => project.token ?? []),
        ...[...content.matchAll(TOKEN)].map(([, token = '']) => token),
        ...(env['DSTACK_TOKEN'] === undefined ? [] : [env['DSTACK_TOKEN']]),
      ]),
    ],
  };
}

// What dstack's models take as true (pydantic, `bool`), of what PyYAML leaves as it is or reads as true.
const TRUE = /^(?:y|yes|t|true|on|1)$/i;

/** A token in a file that can't be read otherwise. */
const TOKEN = /\btoken["']?[ \t]*:[ \t]*["']?([^\s"'#,}]{4,})/g;

/** Reads the projects one by one: one that is unusual must not hide the tokens and the servers of the others. */
function readProjects(content: string): readonly ConfiguredProject[] {
  try {
    // Without types: PyYAML resolves other words to other values than this library.
    const read: unknown = parse(content, { schema: 'failsafe', merge: true, uniqueKeys: false, logLevel: 'error' });
    const { data } = configFile.safeParse(read);
    return (data?.projects ?? []).flatMap((one) => configuredProject.safeParse(one).data ?? []);
  } catch {
    return [];
  }
}

/** A project and the URL of its server. */
export interface Endpoint {
  readonly project: string;
  readonly server: string;
}

/**
 * Returns the named project, or else the default one, with its server.
 * @throws ToolError `policy` if the named project isn't configured: a name that a model made up is never passed on.
 */
export function resolveEndpoint(
  config: DstackConfig,
  wanted: { readonly project: string | undefined; readonly defaultProject: string | undefined },
): Endpoint {
  const project = wanted.project ?? wanted.defaultProject ?? config.defaultProject ?? 'the default project';
  const found = config.projects.find(({ name }) => name === project);
  if (wanted.project !== undefined && found === undefined) {
    const names = config.projects.map(({ name }) => name).join(', ');
    throw new ToolError(
      'policy',
      `No project ${wanted.project} is configured here. Nothing was run.`,
      `Configured: ${names || 'none'}. The user can add one with \`dstack project add\`.`,
    );
  }
  return { project, server: config.serverOfEnvironment ?? found?.url ?? 'a server that is not configured' };
}

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';

const configFile = z.looseObject({
  projects: z
    .array(
      z.looseObject({
        name: z.string(),
        url: z.string().optional(),
        token: z.string().optional(),
        default: z.boolean().nullish(),
      }),
    )
    .nullish(),
});

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
 * Treats a missing or broken file as no projects: the CLI then reports that in its own words.
 */
export async function readDstackConfig(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<DstackConfig> {
  const file = await readProjects(path.join(home, '.dstack', 'config.yml'));
  const url = env['DSTACK_SERVER_URL'];
  const fromEnv =
    url === undefined
      ? []
      : [{ name: env['DSTACK_PROJECT'] ?? 'main', url, token: env['DSTACK_TOKEN'], default: true }];
  const all = [...fromEnv, ...file];
  return {
    // _internal/core/services/api_client.py: the URL counts only together with a token.
    serverOfEnvironment: env['DSTACK_TOKEN'] === undefined ? undefined : url,
    defaultProject: env['DSTACK_PROJECT'] ?? all.find((project) => project.default === true)?.name,
    projects: all.map((project) => ({ name: project.name, url: project.url })),
    // DSTACK_TOKEN overrides the configured one, also without a server.
    tokenFor: (project) => env['DSTACK_TOKEN'] ?? all.find(({ name }) => name === project)?.token,
    secrets: [
      ...all.flatMap((project) => project.token ?? []),
      ...(env['DSTACK_TOKEN'] === undefined ? [] : [env['DSTACK_TOKEN']]),
    ],
  };
}

async function readProjects(file: string): Promise<NonNullable<z.output<typeof configFile>['projects']>> {
  const text = await readFile(file, 'utf8').catch(() => '');
  try {
    return configFile.parse(parse(text) ?? {}).projects ?? [];
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

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';

const clientConfigFile = z.looseObject({
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

/** Where the CLI would go: its projects and servers, as the CLI itself reads them. Holds secrets: for masking, never for showing. */
export interface ClientConfig {
  /** The project that a command without `--project` means. */
  readonly defaultProject: string | undefined;
  readonly projects: readonly { readonly name: string; readonly url: string | undefined }[];
  readonly secrets: readonly string[];
}

/**
 * Reads `~/.dstack/config.yml` and dstack's own variables (`DSTACK_PROJECT`, `DSTACK_SERVER_URL`, `DSTACK_TOKEN`).
 * A file that is missing or broken counts as no projects: the CLI then says so in its own words.
 */
export async function readClientConfig(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<ClientConfig> {
  const file = await readProjects(path.join(home, '.dstack', 'config.yml'));
  const url = env['DSTACK_SERVER_URL'];
  const fromEnv =
    url === undefined
      ? []
      : [{ name: env['DSTACK_PROJECT'] ?? 'main', url, token: env['DSTACK_TOKEN'], default: true }];
  const all = [...fromEnv, ...file];
  return {
    defaultProject: env['DSTACK_PROJECT'] ?? all.find((project) => project.default === true)?.name,
    projects: all.map((project) => ({ name: project.name, url: project.url })),
    secrets: [
      ...all.flatMap((project) => project.token ?? []),
      ...(env['DSTACK_TOKEN'] === undefined ? [] : [env['DSTACK_TOKEN']]),
    ],
  };
}

async function readProjects(file: string): Promise<NonNullable<z.output<typeof clientConfigFile>['projects']>> {
  const text = await readFile(file, 'utf8').catch(() => '');
  try {
    return clientConfigFile.parse(parse(text) ?? {}).projects ?? [];
  } catch {
    return [];
  }
}

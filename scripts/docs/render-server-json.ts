import { ALL_SETTINGS } from '../../src/settings/settings.ts';
import type { Project } from './project.ts';

/** Renders `server.json`, the entry in the MCP registry. */
export function renderServerJson(project: Project): string {
  const entry = {
    $schema: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
    name: project.mcpName,
    title: 'dstack',
    description: project.description,
    version: project.version,
    websiteUrl: project.documentation,
    repository: { url: project.repository, source: 'github' },
    packages: [
      {
        registryType: 'npm',
        identifier: project.name,
        version: project.version,
        runtimeHint: 'npx',
        transport: { type: 'stdio' },
        environmentVariables: ALL_SETTINGS.map(({ env, meaning, default: fallback }) => ({
          name: env,
          description: `${meaning} (default: ${fallback})`,
          isRequired: false,
        })),
      },
    ],
  };
  return `${JSON.stringify(entry, undefined, 2)}\n`;
}

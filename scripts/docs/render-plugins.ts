import type { Project } from './project.ts';

/** A file that a host reads to install the server from this repository. */
interface PluginFile {
  readonly file: string;
  readonly text: string;
}

/** Renders the repository's manifests as a plugin of Claude Code and Cursor and an extension of Gemini CLI, with the skill in `skills/`. */
export function renderPlugins(project: Project): readonly PluginFile[] {
  const { name, version, description, author, license, keywords, repository } = project;
  const servers = { dstack: { command: 'npx', args: ['-y', name] } };
  const plugin = {
    name,
    version,
    description,
    author: { name: author },
    homepage: repository,
    repository,
    license,
    keywords,
    skills: './skills/',
    mcpServers: servers,
  };
  const listed = { name, source: './', description, category: 'development' };
  const marketplace = { name, owner: { name: author }, description, plugins: [listed] };
  return [
    { file: '.claude-plugin/plugin.json', text: toText(plugin) },
    { file: '.claude-plugin/marketplace.json', text: toText(marketplace) },
    { file: '.cursor-plugin/plugin.json', text: toText(plugin) },
    { file: 'gemini-extension.json', text: toText({ name, version, description, mcpServers: servers }) },
  ];
}

const toText = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CLIENTS, placeOf } from '../../src/setup/clients.ts';
import type { Places } from '../../src/setup/client-places.ts';
import type { SetupClient } from '../../src/setup/clients.ts';
import { EDITORS } from '../../src/setup/setup-command.ts';
import { HOSTS } from '../hosts/hosts.ts';
import type { HostResults } from '../hosts/results.ts';
import type { Project } from './project.ts';
import { writeTable } from './write-table.ts';

/** The server's name in the clients. */
const NAME = 'dstack';
const startOf = ({ name }: Project) => ({ command: 'npx', args: ['-y', name], env: {} });

/** Returns install links with the clients' own URL schemes. */
export function installLinks(project: Project): Readonly<Record<'cursor' | 'vscode' | 'goose', string>> {
  const { command, args } = startOf(project);
  const config = { command, args };
  const cursor = new URLSearchParams({ name: NAME, config: btoa(JSON.stringify(config)) });
  const goose = new URLSearchParams({ cmd: command });
  for (const arg of args) goose.append('arg', arg);
  for (const [name, value] of Object.entries({ id: NAME, name: NAME, description: project.description }))
    goose.append(name, value);
  return {
    cursor: `cursor://anysphere.cursor-deeplink/mcp/install?${String(cursor)}`,
    vscode: `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name: NAME, ...config }))}`,
    // Goose doesn't decode a plus as a space.
    goose: `goose://extension?${String(goose).replaceAll('+', '%20')}`,
  };
}

/** Returns install links with https URLs, for pages that remove other schemes. */
export function webLinks(project: Project): Readonly<Record<'cursor' | 'vscode', string>> {
  const { command, args } = startOf(project);
  const config = JSON.stringify({ command, args });
  const cursor = new URLSearchParams({ name: NAME, config: btoa(config) });
  return {
    cursor: `https://cursor.com/en/install-mcp?${String(cursor)}`,
    vscode: `https://vscode.dev/redirect/mcp/install?name=${NAME}&config=${encodeURIComponent(config)}`,
  };
}

/** Renders the shortest way to install the server in each client. */
export function renderOneClick(project: Project): string {
  const web = webLinks(project);
  const own = installLinks(project);
  const start = `npx -y ${project.name}`;
  return writeTable(
    ['Client', 'Install'],
    [
      ['Claude Desktop', `[the \`.mcpb\` file of the latest release](${project.repository}/releases/latest): open it`],
      ['Claude Code', `\`claude mcp add --scope user ${NAME} -- ${start}\``],
      ['Cursor', `[Add to Cursor](${web.cursor})`],
      ['VS Code', `[Add to VS Code](${web.vscode})`],
      ['Goose', `\`${own.goose}\``],
      ['Codex', `\`codex mcp add ${NAME} -- ${start}\``],
      ['Windsurf', `\`${start} setup windsurf\``],
      ['Zed', `\`${start} setup zed\``],
      ['Gemini CLI', `\`${start} setup gemini\``],
    ],
  );
}

/** Renders the links with the clients' own URL schemes, to paste into an address bar. */
export function renderOwnLinks(project: Project): string {
  return ['```text', ...Object.values(installLinks(project)), '```'].join('\n');
}

const PLATFORMS: readonly { readonly title: string; readonly places: Places }[] = [
  { title: 'Linux', places: { platform: 'linux', env: {}, home: '~', cwd: '.' } },
  { title: 'macOS', places: { platform: 'darwin', env: {}, home: '~', cwd: '.' } },
  { title: 'Windows', places: { platform: 'win32', env: {}, home: '%USERPROFILE%', cwd: '.' } },
];

/** Renders the path of each client's configuration file on each platform. */
export function renderClientFiles(): string {
  return writeTable(
    ['`setup`', 'Client', ...PLATFORMS.map(({ title }) => title)],
    CLIENTS.map(({ id, title, file }) => [`\`${id}\``, title, ...PLATFORMS.map(({ places }) => `\`${file(places)}\``)]),
  );
}

/** Renders the entries that `setup` writes, one block for all clients with the same entry. */
export function renderEntries(project: Project): string {
  const blocks = new Map<string, SetupClient[]>();
  for (const client of CLIENTS) {
    const block = EDITORS[client.format]
      .show(placeOf(client, NAME), client.entry(NAME, { ...startOf(project), env: client.settings ?? {} }))
      .trim();
    const text = ['```' + client.format.replace('jsonc', 'json'), block, '```'].join('\n');
    blocks.set(text, [...(blocks.get(text) ?? []), client]);
  }
  return [...blocks]
    .map(([text, clients]) => `${clients.map(({ title }) => title).join(', ')}:\n\n${text}`)
    .join('\n\n');
}

/** Renders what `npm run hosts` found in each host, and what its person sees at a change. */
export function renderHosts(results: HostResults): string {
  return writeTable(
    [
      'Host',
      'Version',
      'Tools for the model',
      'A change without a person',
      'At a change in its terminal, its person sees',
    ],
    HOSTS.flatMap(({ id, title, asks }) => {
      const result = results[id];
      if (result === undefined) return [];
      const { version, tools, unattended, failed } = result;
      const round = failed.length === 0 ? `\`${unattended}\`` : `doesn't hold: ${failed.join('; ')}`;
      return [[title, version, tools === 0 ? 'by search' : String(tools), round, asks]];
    }),
  );
}

const FRAMEWORKS = [
  ['OpenAI Agents SDK', 'openai_agents.py', 'pip install openai-agents'],
  ['LangChain', 'langchain_agent.py', 'pip install langchain-mcp-adapters'],
  ['LlamaIndex', 'llama_index_agent.py', 'pip install llama-index-tools-mcp'],
  ['Pydantic AI', 'pydantic_ai_agent.py', "pip install 'pydantic-ai-slim[mcp]'"],
  ['Vercel AI SDK', 'vercel-ai.mjs', 'npm install ai @ai-sdk/mcp'],
  ['Mastra', 'mastra.mjs', 'npm install @mastra/core @mastra/mcp'],
] as const;

/** Renders the examples for agent frameworks from the files that `npm run lab -- clients` runs. */
export async function renderFrameworks(root: string): Promise<string> {
  const parts = await Promise.all(
    FRAMEWORKS.map(async ([title, file, install]) => {
      const text = await readFile(path.join(root, 'docs', 'agents', file), 'utf8');
      const language = file.endsWith('.py') ? 'python' : 'js';
      return `### ${title}\n\n\`${install}\`\n\n\`\`\`${language}\n${text.trim()}\n\`\`\``;
    }),
  );
  return parts.join('\n\n');
}

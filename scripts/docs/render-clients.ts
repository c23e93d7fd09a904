import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Places } from '../../src/setup/client-files.ts';
import { CLIENTS } from '../../src/setup/clients.ts';
import type { SetupClient } from '../../src/setup/clients.ts';
import { EDITORS } from '../../src/setup/editors.ts';
import type { Project } from './project.ts';
import { writeTable } from './write-table.ts';

/** The server's name in the clients, and how all of them start it. */
const NAME = 'dstack';
const startOf = ({ name }: Project) => ({ command: 'npx', args: ['-y', name], env: {} });

/** Links that enter the server by a click, each with the address that a browser opens and the one that the program itself does. */
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
    // Goose reads a plus as a plus.
    goose: `goose://extension?${String(goose).replaceAll('+', '%20')}`,
  };
}

/** The same for pages that only keep links of the web: Cursor and VS Code have one that leads to their own. */
export function webLinks(project: Project): Readonly<Record<'cursor' | 'vscode', string>> {
  const { command, args } = startOf(project);
  const config = JSON.stringify({ command, args });
  const cursor = new URLSearchParams({ name: NAME, config: btoa(config) });
  return {
    cursor: `https://cursor.com/en/install-mcp?${String(cursor)}`,
    vscode: `https://vscode.dev/redirect/mcp/install?name=${NAME}&config=${encodeURIComponent(config)}`,
  };
}

/** One line a client: the shortest way to enter the server. */
export function renderOneClick(project: Project): string {
  const web = webLinks(project);
  const own = installLinks(project);
  const start = `npx -y ${project.name}`;
  return writeTable(
    ['Client', 'One click or one command'],
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

/** The links that a browser's page doesn't keep, to paste into its address bar. */
export function renderOwnLinks(project: Project): string {
  return ['```text', ...Object.values(installLinks(project)), '```'].join('\n');
}

const PLATFORMS: readonly { readonly title: string; readonly places: Places }[] = [
  { title: 'Linux', places: { platform: 'linux', env: {}, home: '~', cwd: '.' } },
  { title: 'macOS', places: { platform: 'darwin', env: {}, home: '~', cwd: '.' } },
  { title: 'Windows', places: { platform: 'win32', env: {}, home: '%USERPROFILE%', cwd: '.' } },
];

/** Where each client has its configuration, on each platform. */
export function renderClientFiles(): string {
  return writeTable(
    ['`setup`', 'Client', ...PLATFORMS.map(({ title }) => title)],
    CLIENTS.map(({ id, title, file }) => [`\`${id}\``, title, ...PLATFORMS.map(({ places }) => `\`${file(places)}\``)]),
  );
}

/** What `setup` writes, one block for all clients that want the same. */
export function renderEntries(project: Project): string {
  const blocks = new Map<string, SetupClient[]>();
  for (const client of CLIENTS) {
    const block = EDITORS[client.format]
      .show({ key: client.key, name: NAME }, client.entry(NAME, startOf(project)))
      .trim();
    const text = ['```' + client.format.replace('jsonc', 'json'), block, '```'].join('\n');
    blocks.set(text, [...(blocks.get(text) ?? []), client]);
  }
  return [...blocks]
    .map(([text, clients]) => `${clients.map(({ title }) => title).join(', ')}:\n\n${text}`)
    .join('\n\n');
}

const FRAMEWORKS = [
  ['OpenAI Agents SDK', 'openai_agents.py', 'pip install openai-agents'],
  ['LangChain', 'langchain_agent.py', 'pip install langchain-mcp-adapters'],
  ['LlamaIndex', 'llama_index_agent.py', 'pip install llama-index-tools-mcp'],
  ['Pydantic AI', 'pydantic_ai_agent.py', "pip install 'pydantic-ai-slim[mcp]'"],
  ['Vercel AI SDK', 'vercel-ai.mjs', 'npm install ai @ai-sdk/mcp'],
  ['Mastra', 'mastra.mjs', 'npm install @mastra/core @mastra/mcp'],
] as const;

/** The examples for agent frameworks, from the files that are run. */
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

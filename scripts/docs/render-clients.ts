import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CLIENTS, placeOf } from '../../src/setup/clients.ts';
import type { Places, SetupClient } from '../../src/setup/clients.ts';
import { EDITORS } from '../../src/setup/editors.ts';
import { NOT_TRIED } from '../hosts/check-terminal.ts';
import { HOSTS } from '../hosts/hosts.ts';
import type { HostResults } from '../hosts/results.ts';
import { IS_PUBLISHED } from './project.ts';
import type { Project } from './project.ts';
import { writeTable } from './write-table.ts';

/** The server's name in the clients. */
const NAME = 'dstack';
const startOf = ({ name }: Project) => ({ command: 'npx', args: ['-y', name], env: {} });

/** The start from a clone, with a path to replace. */
const CLONE_START = { command: 'node', args: ['/path/to/dstack-mcp/dist/dstack-mcp.mjs'], env: {} };

/** Returns the command that runs the server's own program in a terminal, for example with `setup`. */
const programOf = ({ name }: Project): string => (IS_PUBLISHED ? `npx -y ${name}` : 'node dist/dstack-mcp.mjs');

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
  return IS_PUBLISHED ? renderPublished(project) : renderClone(project);
}

function renderPublished(project: Project): string {
  const web = webLinks(project);
  const own = installLinks(project);
  const start = programOf(project);
  return writeTable(
    ['Client', 'Install'],
    [
      ['Claude Desktop', `[the \`.mcpb\` file of the latest release](${project.repository}/releases/latest): open it`],
      ['Claude Code', `\`claude mcp add --scope user ${NAME} -- ${start}\``],
      ['Cursor', `[Add to Cursor](${web.cursor})`],
      ['VS Code', `[Add to VS Code](${web.vscode})`],
      ['Goose', `\`${own.goose}\``],
      ['Codex', `\`codex mcp add ${NAME} -- ${start}\``],
      ['Gemini CLI', `\`gemini extensions install ${project.repository}\``],
      ['Others', `\`${start} setup <client>\`, with one of: ${clientIds()}`],
    ],
  );
}

function renderClone(project: Project): string {
  const clone = ['```sh', `git clone ${project.repository}`, `cd ${project.name}`, 'npm ci && npm run build', '```'];
  const start = 'node "$PWD/dist/dstack-mcp.mjs"';
  const table = writeTable(
    ['Client', 'Install, in the clone'],
    [
      ['Claude Code', `\`claude mcp add --scope user ${NAME} -- ${start}\``],
      ['Codex', `\`codex mcp add ${NAME} -- ${start}\``],
      ['Others', `\`${programOf(project)} setup <client>\`, with one of: ${clientIds()}`],
    ],
  );
  return ['The package is not published yet, so install it from a clone:', '', ...clone, '', table].join('\n');
}

const clientIds = (): string => CLIENTS.map(({ id }) => `\`${id}\``).join(', ');

/** Renders the commands that add the server to a client's configuration. */
export function renderSetupCommands(project: Project): string {
  const start = `${programOf(project)} setup`;
  const options = ['--list', 'cursor --dry-run', 'cursor --workspace ~/gpu --confirm person', 'cursor --undo'];
  return ['```sh', ...options.map((words) => `${start} ${words}`), '```'].join('\n');
}

/** Renders the commands that start the sandbox and connect a client to it. */
export const renderSandboxCommands = (project: Project): string =>
  [
    '```sh',
    IS_PUBLISHED ? `${programOf(project)} sandbox` : 'npm run sandbox',
    '```',
    '',
    'Connect your client to it once, in another terminal; the entry works whenever a sandbox runs:',
    '',
    '```sh',
    `${programOf(project)} setup cursor --sandbox`,
    '```',
  ].join('\n');

/** Marks what needs the published package. */
const UNPUBLISHED_NOTE = IS_PUBLISHED ? [] : ['They need the package, which is not published yet.', ''];

/** Renders the links with the clients' own URL schemes, to paste into an address bar. */
export function renderOwnLinks(project: Project): string {
  const links = ['```text', ...Object.values(installLinks(project)), '```'];
  return [...UNPUBLISHED_NOTE, ...links].join('\n');
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
      .show(
        placeOf(client, NAME),
        client.entry(NAME, { ...(IS_PUBLISHED ? startOf(project) : CLONE_START), env: client.settings ?? {} }),
      )
      .trim();
    const text = ['```' + client.format.replace('jsonc', 'json'), block, '```'].join('\n');
    blocks.set(text, [...(blocks.get(text) ?? []), client]);
  }
  return [...blocks]
    .map(([text, clients]) => `${clients.map(({ title }) => title).join(', ')}:\n\n${text}`)
    .join('\n\n');
}

/** Renders each host with what its person sees at a change, and with the results of `npm run hosts`, if there are any. */
export function renderHosts(results: HostResults): string {
  const rows = HOSTS.map(({ id, title, version, asks, limits = {} }) => {
    const { tools, unattended, terminal, failed = [] } = results[id] ?? {};
    const notes = [...Object.values(limits), ...failed.map((check) => `doesn't hold: ${check}`)];
    const cells = [
      tools === 0 ? 'by search' : String(tools ?? ''),
      unattended === undefined ? '' : `\`${unattended}\``,
      terminal === undefined || terminal === NOT_TRIED ? '' : `\`${terminal}\``,
    ];
    return [title, results[id]?.version ?? version, ...cells, asks, notes.join('; ')];
  });
  return writeTable(
    [
      'Host',
      'Version',
      'Tools for the model',
      'A change without a person',
      'Approved in its terminal',
      'At a change in its terminal, its person sees',
      'Notes',
    ],
    rows,
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
  return [...UNPUBLISHED_NOTE, ...parts].join('\n\n');
}

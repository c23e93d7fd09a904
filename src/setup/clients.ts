import { inAppSettings, inConfigOrRoaming, inFolderOf, inHome, inProject } from './client-files.ts';
import type { FindFile } from './client-files.ts';
import type { ServerStart } from './server-start.ts';

/** A way of writing configuration: strict JSON, JSON with comments, YAML, TOML. */
export type Format = 'json' | 'jsonc' | 'yaml' | 'toml';

/** An MCP client whose configuration `dstack-mcp setup` can write. */
export interface SetupClient {
  readonly id: string;
  readonly title: string;
  readonly format: Format;
  readonly file: FindFile;
  /** What is there where the client is used; its file may not be yet. */
  readonly trace: FindFile;
  /** The key that holds the servers, by name. */
  readonly key: string;
  /** Starts servers without the PATH of a person's shell. */
  readonly barePath: boolean;
  readonly entry: (name: string, start: ServerStart) => Readonly<Record<string, unknown>>;
  /** What a person does then. */
  readonly next: string;
}

const plain = (_name: string, { command, args, env }: ServerStart): Readonly<Record<string, unknown>> => ({
  command,
  args,
  ...(Object.keys(env).length === 0 ? {} : { env }),
});

/** The clients, in the order in which they are listed. */
export const CLIENTS: readonly SetupClient[] = [
  {
    id: 'claude-desktop',
    title: 'Claude Desktop',
    format: 'json',
    file: inAppSettings('Claude', 'claude_desktop_config.json'),
    trace: inAppSettings('Claude'),
    key: 'mcpServers',
    barePath: true,
    entry: plain,
    next: 'Quit Claude Desktop and open it again.',
  },
  {
    id: 'claude-code',
    title: 'Claude Code (this project)',
    format: 'json',
    file: inProject('.mcp.json'),
    trace: inHome('.claude'),
    key: 'mcpServers',
    barePath: false,
    entry: plain,
    next: 'Start claude in this folder and approve the server; /mcp shows it.',
  },
  {
    id: 'cursor',
    title: 'Cursor',
    format: 'jsonc',
    file: inHome('.cursor', 'mcp.json'),
    trace: inHome('.cursor'),
    key: 'mcpServers',
    barePath: false,
    entry: plain,
    next: 'Turn it on in Cursor: Settings, MCP.',
  },
  {
    id: 'vscode',
    title: 'VS Code',
    format: 'jsonc',
    file: inAppSettings('Code', 'User', 'mcp.json'),
    trace: inAppSettings('Code'),
    key: 'servers',
    barePath: false,
    entry: (name, start) => ({ type: 'stdio', ...plain(name, start) }),
    next: 'Run "MCP: List Servers" in VS Code and start it.',
  },
  {
    id: 'windsurf',
    title: 'Windsurf',
    format: 'json',
    file: inHome('.codeium', 'windsurf', 'mcp_config.json'),
    trace: inHome('.codeium', 'windsurf'),
    key: 'mcpServers',
    barePath: false,
    entry: plain,
    next: 'Press refresh in Windsurf: Settings, Cascade, MCP servers.',
  },
  {
    id: 'zed',
    title: 'Zed',
    format: 'jsonc',
    file: inConfigOrRoaming(['zed', 'settings.json'], ['Zed', 'settings.json']),
    trace: inConfigOrRoaming(['zed'], ['Zed']),
    key: 'context_servers',
    barePath: false,
    entry: plain,
    next: 'Zed starts it by itself: see the settings of its agent panel.',
  },
  {
    id: 'codex',
    title: 'Codex',
    format: 'toml',
    file: inFolderOf('CODEX_HOME', '.codex', 'config.toml'),
    trace: inFolderOf('CODEX_HOME', '.codex'),
    key: 'mcp_servers',
    barePath: false,
    entry: plain,
    next: 'Start codex again; /mcp shows it.',
  },
  {
    id: 'gemini',
    title: 'Gemini CLI',
    format: 'jsonc',
    file: inHome('.gemini', 'settings.json'),
    trace: inHome('.gemini'),
    key: 'mcpServers',
    barePath: false,
    entry: plain,
    next: 'Start gemini again; /mcp shows it.',
  },
  {
    id: 'goose',
    title: 'Goose',
    format: 'yaml',
    file: inConfigOrRoaming(['goose', 'config.yaml'], ['Block', 'goose', 'config', 'config.yaml']),
    trace: inConfigOrRoaming(['goose'], ['Block', 'goose']),
    key: 'extensions',
    barePath: false,
    entry: (name, { command, args, env }) => ({
      enabled: true,
      type: 'stdio',
      name,
      description: 'GPU runs on dstack',
      cmd: command,
      args,
      envs: env,
      timeout: 300,
    }),
    next: 'Start a new session in Goose.',
  },
];

import path from 'node:path';
import type { EntryPlace } from './client-file.ts';

/** The folders that clients' files are found from. The platform is a parameter, so that each can be tested on any. */
export interface Places {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The working directory, for a project's own configuration. */
  readonly cwd: string;
}

export type FindFile = (places: Places) => string;

/** Returns how to find files below a folder. */
const below =
  (folder: FindFile) =>
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(folder(places), ...names);

/** A file in the working directory. */
const inProject = below(({ cwd }) => cwd);

/** A file in the home folder, on every platform. */
const inHome = below(({ home }) => home);

/** A file in the settings folder of desktop programs: Application Support, `%APPDATA%` or `$XDG_CONFIG_HOME`. */
const inAppSettings = below(appSettings);

/** A file below `$XDG_CONFIG_HOME`, or else `~/.config`, on every platform. */
const inConfigFolder = below(configFolder);

/** A file below the folder named by a variable, or else below a folder in the home folder. */
const inFolderOf = (variable: string, fallback: string, ...names: readonly string[]): FindFile =>
  below((places) => folderIn(places, variable) ?? inHome(fallback)(places))(...names);

/** A file below `%APPDATA%` on Windows, and below `$XDG_CONFIG_HOME` everywhere else, macOS included. */
const inConfigOrRoaming =
  (config: readonly string[], roaming: readonly string[]): FindFile =>
  (places) =>
    (places.platform === 'win32' ? inAppSettings(...roaming) : inConfigFolder(...config))(places);

/** Returns the path functions of a platform. */
export const pathsOf = ({ platform }: Pick<Places, 'platform'>): path.PlatformPath =>
  platform === 'win32' ? path.win32 : path.posix;

function appSettings(places: Places): string {
  const paths = pathsOf(places);
  if (places.platform === 'darwin') return paths.join(places.home, 'Library', 'Application Support');
  if (places.platform === 'win32') return folderIn(places, 'APPDATA') ?? paths.join(places.home, 'AppData', 'Roaming');
  return configFolder(places);
}

function configFolder(places: Places): string {
  return folderIn(places, 'XDG_CONFIG_HOME') ?? pathsOf(places).join(places.home, '.config');
}

/** Returns an absolute folder from the environment; an empty or relative one counts as not set. */
function folderIn(places: Places, variable: string): string | undefined {
  const folder = places.env[variable];
  return folder !== undefined && pathsOf(places).isAbsolute(folder) ? folder : undefined;
}

/** A configuration format; `jsonc` is JSON with comments. */
export type Format = 'json' | 'jsonc' | 'yaml' | 'toml';

/** The command that starts this server. */
export interface ServerStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** An MCP client whose configuration `dstack-mcp setup` can write. */
export interface SetupClient {
  readonly id: string;
  readonly title: string;
  readonly format: Format;
  readonly file: FindFile;
  /** Files that the client reads instead if they exist, the first one first. */
  readonly otherFiles?: readonly FindFile[];
  /** Exists if the client is installed; its configuration file may not exist yet. Defaults to the file's folder. */
  readonly trace?: FindFile;
  /** The keys that lead to the section with the servers. */
  readonly section: readonly string[];
  /** The section is a list of entries with a `name`, instead of an object by name. */
  readonly isList?: boolean;
  /** The client starts servers without the PATH of the user's shell. */
  readonly barePath?: true;
  /** The client starts servers in no project: without a setting, the workspace would be `~/dstack`. */
  readonly hasNoProject?: true;
  /** Settings that this client needs. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly entry: (name: string, start: ServerStart) => Readonly<Record<string, unknown>>;
  /** The next step for the user. */
  readonly next: string;
}

const plain = (_name: string, { command, args, env }: ServerStart): Readonly<Record<string, unknown>> => ({
  command,
  args,
  ...(Object.keys(env).length === 0 ? {} : { env }),
});

/** Adds fields that a client expects next to the command. */
const withFields =
  (fields: Readonly<Record<string, unknown>>): SetupClient['entry'] =>
  (name, start) => ({ ...fields, ...plain(name, start) });

/** For clients that end a server that isn't ready within 10 seconds, and a call after 60. */
const PATIENCE = { startup_timeout_sec: 30, tool_timeout_sec: 120 };

/** For clients that don't put the server's name before the names of its tools: `list` or `delete` alone would say too little. */
const OWN_PREFIX = { DSTACK_MCP_TOOL_PREFIX: 'dstack_' };

/** Returns the location of a server's entry in the client's file. */
export const placeOf = ({ section, isList = false }: SetupClient, name: string): EntryPlace => ({
  section,
  name,
  isList,
});

/** Every supported client, in the order of the list. */
export const CLIENTS: readonly SetupClient[] = [
  {
    id: 'claude-desktop',
    title: 'Claude Desktop',
    format: 'json',
    file: inAppSettings('Claude', 'claude_desktop_config.json'),
    section: ['mcpServers'],
    barePath: true,
    hasNoProject: true,
    entry: plain,
    next: 'Quit and reopen Claude Desktop.',
  },
  {
    id: 'claude-code',
    title: 'Claude Code (this project)',
    format: 'json',
    file: inProject('.mcp.json'),
    trace: inHome('.claude'),
    section: ['mcpServers'],
    entry: plain,
    next: 'Start claude in this folder and approve the server; /mcp shows it.',
  },
  {
    id: 'cursor',
    title: 'Cursor',
    format: 'jsonc',
    file: inHome('.cursor', 'mcp.json'),
    section: ['mcpServers'],
    entry: plain,
    next: 'Turn it on in Cursor: Settings, MCP.',
  },
  {
    id: 'vscode',
    title: 'VS Code',
    format: 'jsonc',
    file: inAppSettings('Code', 'User', 'mcp.json'),
    trace: inAppSettings('Code'),
    section: ['servers'],
    entry: withFields({ type: 'stdio' }),
    next: 'Run "MCP: List Servers" in VS Code and start it.',
  },
  {
    id: 'windsurf',
    title: 'Windsurf',
    format: 'json',
    file: inHome('.codeium', 'windsurf', 'mcp_config.json'),
    section: ['mcpServers'],
    entry: plain,
    next: 'Press refresh in Windsurf: Settings, Cascade, MCP servers.',
  },
  {
    id: 'zed',
    title: 'Zed',
    format: 'jsonc',
    file: inConfigOrRoaming(['zed', 'settings.json'], ['Zed', 'settings.json']),
    section: ['context_servers'],
    entry: plain,
    next: 'Zed starts it automatically; see the settings of its agent panel.',
  },
  {
    id: 'codex',
    title: 'Codex',
    format: 'toml',
    file: inFolderOf('CODEX_HOME', '.codex', 'config.toml'),
    section: ['mcp_servers'],
    entry: (name, start) => ({ ...plain(name, start), ...PATIENCE }),
    next: 'Restart codex; /mcp shows it.',
  },
  {
    id: 'gemini',
    title: 'Gemini CLI',
    format: 'jsonc',
    file: inHome('.gemini', 'settings.json'),
    section: ['mcpServers'],
    entry: plain,
    next: 'Restart gemini; /mcp shows it.',
  },
  {
    id: 'goose',
    title: 'Goose',
    format: 'yaml',
    file: inConfigOrRoaming(['goose', 'config.yaml'], ['Block', 'goose', 'config', 'config.yaml']),
    trace: inConfigOrRoaming(['goose'], ['Block', 'goose']),
    section: ['extensions'],
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
  {
    id: 'opencode',
    title: 'opencode',
    format: 'jsonc',
    file: inConfigFolder('opencode', 'opencode.json'),
    otherFiles: [inConfigFolder('opencode', 'opencode.jsonc')],
    section: ['mcp'],
    entry: (_name, { command, args, env }) => ({
      type: 'local',
      command: [command, ...args],
      ...(Object.keys(env).length === 0 ? {} : { environment: env }),
      enabled: true,
    }),
    next: 'Restart opencode; opencode mcp list shows it.',
  },
  {
    id: 'copilot',
    title: 'Copilot CLI',
    format: 'json',
    file: inFolderOf('COPILOT_HOME', '.copilot', 'mcp-config.json'),
    section: ['mcpServers'],
    entry: withFields({ type: 'local', tools: ['*'] }),
    next: 'Restart copilot; /mcp shows it.',
  },
  {
    id: 'qwen',
    title: 'Qwen Code',
    format: 'jsonc',
    file: inHome('.qwen', 'settings.json'),
    section: ['mcpServers'],
    entry: plain,
    next: 'Restart qwen; /mcp shows it.',
  },
  {
    id: 'cline',
    title: 'Cline CLI',
    format: 'json',
    file: inFolderOf('CLINE_DIR', '.cline', 'data', 'settings', 'cline_mcp_settings.json'),
    trace: inFolderOf('CLINE_DIR', '.cline'),
    section: ['mcpServers'],
    entry: (name, start) => ({ transport: { type: 'stdio', ...plain(name, start) } }),
    next: 'Start cline; cline mcp list shows it.',
  },
  {
    id: 'continue',
    title: 'Continue',
    format: 'yaml',
    file: inFolderOf('CONTINUE_GLOBAL_DIR', '.continue', 'config.yaml'),
    section: ['mcpServers'],
    isList: true,
    settings: OWN_PREFIX,
    entry: (name, start) => ({ name, ...plain(name, start) }),
    next: 'Restart cn or reload the extension; /mcp shows it.',
  },
  {
    id: 'vibe',
    title: 'Mistral Vibe',
    format: 'toml',
    file: inFolderOf('VIBE_HOME', '.vibe', 'config.toml'),
    section: ['mcp_servers'],
    isList: true,
    entry: (name, start) => ({ name, transport: 'stdio', ...plain(name, start), ...PATIENCE }),
    next: 'Restart vibe; /mcp shows it.',
  },
  {
    id: 'openhands',
    title: 'OpenHands CLI',
    format: 'json',
    file: inHome('.openhands', 'mcp.json'),
    section: ['mcpServers'],
    settings: OWN_PREFIX,
    entry: plain,
    next: 'Restart openhands; openhands mcp list shows it.',
  },
  {
    id: 'fast-agent',
    title: 'fast-agent (this project)',
    format: 'yaml',
    file: inProject('fast-agent.yaml'),
    // It refuses a folder with two of its configurations, and reads its own folder first.
    otherFiles: [inProject('.fast-agent', 'fast-agent.yaml'), inProject('fastagent.config.yaml')],
    trace: inProject('fast-agent.yaml'),
    section: ['mcp', 'servers'],
    entry: plain,
    next: 'Name the server in your agent: servers=["dstack"].',
  },
];

import path from 'node:path';

/** The folders that clients' files are found from. The platform is a parameter, so that each can be tested on any. */
export interface Places {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The working directory, for a project's own configuration. */
  readonly cwd: string;
}

/** Returns the path of a client's file. */
type FindFile = (places: Places) => string;

/** A file in the working directory. */
const inProject =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.cwd, ...names);

/** A file in the home folder, on every platform. */
const inHome =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(places.home, ...names);

/** A file below the folder named by a variable, or else below a folder in the home folder. */
const inFolderOf =
  (variable: string, fallback: string, ...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(folderIn(places, variable) ?? pathsOf(places).join(places.home, fallback), ...names);

/** A file in the settings folder of desktop programs: Application Support, `%APPDATA%` or `$XDG_CONFIG_HOME`. */
const inAppSettings =
  (...names: readonly string[]): FindFile =>
  (places) =>
    pathsOf(places).join(appSettings(places), ...names);

/** A file below `%APPDATA%` on Windows, and below `$XDG_CONFIG_HOME` everywhere else, macOS included. */
const inConfigOrRoaming =
  (config: readonly string[], roaming: readonly string[]): FindFile =>
  (places) =>
    places.platform === 'win32'
      ? pathsOf(places).join(appSettings(places), ...roaming)
      : pathsOf(places).join(configFolder(places), ...config);

/** Returns the path functions of a platform. */
export const pathsOf = ({ platform }: Pick<Places, 'platform'>): path.PlatformPath =>
  platform === 'win32' ? path.win32 : path.posix;

function appSettings(places: Places): string {
  const paths = pathsOf(places);
  if (places.platform === 'darwin') return paths.join(places.home, 'Library', 'Application Support');
  if (places.platform === 'win32') return folderIn(places, 'APPDATA') ?? paths.join(places.home, 'AppData', 'Roaming');
  return configFolder(places);
}

const configFolder = (places: Places): string =>
  folderIn(places, 'XDG_CONFIG_HOME') ?? pathsOf(places).join(places.home, '.config');

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
  /** Exists if the client is installed; its configuration file may not exist yet. */
  readonly trace: FindFile;
  /** The key of the object with the servers, by name. */
  readonly key: string;
  /** The client starts servers without the PATH of the user's shell. */
  readonly barePath: boolean;
  /** The client starts servers in no project: without a setting, the workspace would be `~/dstack`. */
  readonly hasNoProject?: true;
  readonly entry: (name: string, start: ServerStart) => Readonly<Record<string, unknown>>;
  /** The next step for the user. */
  readonly next: string;
}

const plain = (_name: string, { command, args, env }: ServerStart): Readonly<Record<string, unknown>> => ({
  command,
  args,
  ...(Object.keys(env).length === 0 ? {} : { env }),
});

/** Every supported client, in the order of the list. */
export const CLIENTS: readonly SetupClient[] = [
  {
    id: 'claude-desktop',
    title: 'Claude Desktop',
    format: 'json',
    file: inAppSettings('Claude', 'claude_desktop_config.json'),
    trace: inAppSettings('Claude'),
    key: 'mcpServers',
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
    next: 'Zed starts it automatically; see the settings of its agent panel.',
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
    next: 'Restart codex; /mcp shows it.',
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
    next: 'Restart gemini; /mcp shows it.',
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

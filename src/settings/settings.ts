import path from 'node:path';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { expandHome, homeFolder } from '../core/paths.ts';
import { givenText, sandboxPlace, stateFolder } from './installation.ts';
import type { SandboxPlace } from './installation.ts';

/** Everything that the operator can set. Read once at startup. */
export interface Settings {
  readonly cli: string | undefined;
  readonly project: string | undefined;
  /** Absolute folders. */
  readonly workspace: readonly string[];
  /** Whether the operator named them; otherwise the client's roots take precedence. */
  readonly workspaceIsSet: boolean;
  readonly stateDir: string;
  /** The sandbox to use instead of the user's dstack. */
  readonly sandbox: SandboxPlace | undefined;
  readonly readOnly: boolean;
  readonly confirm: 'ask' | 'person' | 'token';
  readonly policy: string | undefined;
  /** Dollars per hour. */
  readonly maxPrice: number | undefined;
  readonly dialog: 'auto' | 'off';
  readonly card: 'auto' | 'off';
  readonly structured: boolean;
  /** Empty for none. */
  readonly toolPrefix: string;
  readonly warm: 'on' | 'off' | 'spare';
  readonly envFiles: EnvFilesMode;
  readonly timeoutMs: number;
  /** Most bytes of files that one plan may send. */
  readonly maxUploadBytes: number;
  /** Most bytes that one call may copy. */
  readonly maxCopyBytes: number;
  readonly logLevel: string;
}

/**
 * Reads the settings. The command line, whose values are `given` by option, takes precedence over the environment.
 * @throws ToolError `invalid-input` for an invalid value: it isn't safe to start without one of the settings.
 */
export function readSettings(given: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv): Settings {
  const read = <T>(setting: Setting<T>): T | undefined => {
    const option = givenText(given[setting.option]);
    const text = option ?? givenText(env[setting.env]);
    if (text === undefined) return undefined;
    const result = setting.read.safeParse(text);
    if (result.success) return result.data;
    const problem = result.error.issues.map((issue) => issue.message).join('; ');
    throw new ToolError(
      'invalid-input',
      `${option === undefined ? setting.env : setting.option} is "${text}": ${problem}`,
      `Meaning: ${setting.meaning}. Default: ${setting.default}.`,
    );
  };
  const readOrDefault = <T>(setting: Setting<T>): T => read(setting) ?? setting.read.parse(setting.default);
  const stateDir = stateFolder(read(SETTINGS.stateDir));
  const sandbox = readOrDefault(SETTINGS.sandbox) ? sandboxPlace(stateDir) : undefined;
  const workspace = read(SETTINGS.workspace) ?? sandbox?.workspace;
  return Object.freeze({
    cli: read(SETTINGS.cli) ?? sandbox?.cli,
    project: read(SETTINGS.project),
    workspace: readWorkspace(workspace, env),
    workspaceIsSet: workspace !== undefined,
    stateDir: sandbox?.stateDir ?? stateDir,
    sandbox,
    readOnly: readOrDefault(SETTINGS.readOnly),
    confirm: readOrDefault(SETTINGS.confirm),
    policy: read(SETTINGS.policy),
    maxPrice: read(SETTINGS.maxPrice),
    dialog: readOrDefault(SETTINGS.dialog),
    card: readOrDefault(SETTINGS.card),
    structured: readOrDefault(SETTINGS.structured),
    toolPrefix: read(SETTINGS.toolPrefix) ?? '',
    warm: readOrDefault(SETTINGS.warm),
    envFiles: readOrDefault(SETTINGS.envFiles),
    timeoutMs: readOrDefault(SETTINGS.timeout) * 1000,
    maxUploadBytes: Math.floor(readOrDefault(SETTINGS.maxUpload) * 1024 ** 2),
    maxCopyBytes: Math.floor(readOrDefault(SETTINGS.maxCopy) * 1024 ** 2),
    logLevel: readOrDefault(SETTINGS.logLevel),
  });
}

function readWorkspace(list: string | undefined, env: NodeJS.ProcessEnv): readonly string[] {
  const home = homeFolder(env);
  const expand = (folder: string): string => path.resolve(expandHome(folder, home));
  if (list !== undefined)
    return list
      .split(path.delimiter)
      .filter((folder) => folder.trim() !== '')
      .map(expand);
  return [projectFolder(process.cwd(), home)];
}

/** Returns a folder, or `~/dstack` instead of the root of a disk or the home folder, neither of which is a project. */
export function projectFolder(folder: string, home: string): string {
  // Claude Desktop starts servers in such folders.
  const isTooWide = folder === path.parse(folder).root || folder === path.resolve(home);
  return isTooWide ? path.join(home, 'dstack') : folder;
}

const word = z.string().trim().toLowerCase();
const onOff = word
  .pipe(z.enum(['on', 'off', 'true', 'false', '1', '0', 'yes', 'no']))
  .transform((value) => value === 'on' || value === 'true' || value === '1' || value === 'yes');
/** When the env files next to a configuration are read: always, with consent for each variable, or never. */
export type EnvFilesMode = 'on' | 'ask' | 'off';

const envFilesMode = z.union([word.pipe(z.literal('ask')), onOff.transform((on): EnvFilesMode => (on ? 'on' : 'off'))]);
const warmMode = z.union([word.pipe(z.literal('spare')), onOff.transform((on) => (on ? 'on' : 'off'))]);

/** The settings of the bundle are switches and free texts: there it is the switch whether a person is necessary. */
const confirmLevel = z
  .string()
  .transform((text) => (text === 'true' ? 'person' : text === 'false' ? 'ask' : text))
  .pipe(z.enum(['ask', 'person', 'token']));

/** Every setting: its texts for `--help` and the documentation, and the schema of its value. */
const SETTINGS = {
  cli: {
    option: '--cli',
    value: '<path>',
    env: 'DSTACK_MCP_CLI',
    meaning: 'path of the dstack executable',
    default: 'found on PATH or in common locations',
    read: z.string(),
  },
  project: {
    option: '--project',
    value: '<name>',
    env: 'DSTACK_PROJECT',
    meaning: "the dstack project (dstack's own variable)",
    default: "the CLI's default project",
    read: z.string(),
  },
  workspace: {
    option: '--workspace',
    value: '<folders>',
    env: 'DSTACK_MCP_WORKSPACE',
    meaning: 'folders in which configurations and copied files may be read and written (path list)',
    default:
      "the client's roots, or the working directory; ~/dstack instead of the home folder or the root of the disk",
    read: z.string(),
  },
  stateDir: {
    option: '--state-dir',
    value: '<folder>',
    env: 'DSTACK_MCP_STATE_DIR',
    meaning: 'folder for tokens, consents that are remembered, attachments, the audit log and caches',
    default: "the platform's state directory",
    read: z.string(),
  },
  sandbox: {
    option: '--sandbox',
    value: '[on|off]',
    env: 'DSTACK_MCP_SANDBOX',
    meaning: 'use the sandbox that runs on this computer, instead of your dstack: on, off',
    default: 'off',
    read: onOff,
  },
  readOnly: {
    option: '--read-only',
    value: '[on|off]',
    env: 'DSTACK_MCP_READ_ONLY',
    meaning: 'disable every tool that changes something: on, off',
    default: 'off',
    read: onOff,
  },
  confirm: {
    option: '--confirm',
    value: '<who>',
    env: 'DSTACK_MCP_CONFIRM',
    meaning: 'approval that a change needs: ask (a person if one can be asked, otherwise the token), person, token',
    default: 'ask',
    read: confirmLevel,
  },
  policy: {
    option: '--policy',
    value: '<file>',
    env: 'DSTACK_MCP_POLICY',
    meaning: 'YAML file with price caps, allowed types, protected names and other rules',
    default: 'none',
    read: z.string(),
  },
  maxPrice: {
    option: '--max-price',
    value: '<dollars>',
    env: 'DSTACK_MCP_MAX_PRICE',
    meaning: 'maximum price of a run or fleet in dollars per hour, all nodes together',
    default: 'none',
    read: z.coerce.number('expected a number').nonnegative('expected 0 or more'),
  },
  dialog: {
    option: '--dialog',
    value: '<mode>',
    env: 'DSTACK_MCP_DIALOG',
    meaning: "ask in a dialog on the user's desktop if the client can't ask: auto, off",
    default: 'auto',
    read: z.enum(['auto', 'off']),
  },
  card: {
    option: '--card',
    value: '<mode>',
    env: 'DSTACK_MCP_CARD',
    meaning: 'ask in a card (MCP Apps) if the client supports it: auto, off',
    default: 'auto',
    read: z.enum(['auto', 'off']),
  },
  structured: {
    option: '--structured',
    value: '[on|off]',
    env: 'DSTACK_MCP_STRUCTURED',
    meaning:
      'add structured content to results, for programs; most clients show a model that instead of the text: on, off',
    default: 'off',
    read: onOff,
  },
  toolPrefix: {
    option: '--tool-prefix',
    value: '<prefix>',
    env: 'DSTACK_MCP_TOOL_PREFIX',
    meaning: "prefix of all tool names, such as dstack_, for clients that don't add the server's name",
    default: 'none',
    read: z.string().regex(/^[a-z][a-z0-9_-]{0,19}$/i, 'expected up to 20 letters, digits, _ and -'),
  },
  warm: {
    option: '--warm',
    value: '[on|off|spare]',
    env: 'DSTACK_MCP_WARM',
    meaning: 'keep a warm dstack process for faster calls: on, off, spare (as on macOS and Windows)',
    default: 'on',
    read: warmMode,
  },
  envFiles: {
    option: '--env-files',
    value: '[on|ask|off]',
    env: 'DSTACK_MCP_ENV_FILES',
    meaning:
      'read the variables that a configuration names from the .envrc or .env next to it: on, ask (with consent for each), off',
    default: 'ask',
    read: envFilesMode,
  },
  timeout: {
    option: '--timeout',
    value: '<seconds>',
    env: 'DSTACK_MCP_TIMEOUT',
    meaning: 'seconds after which a call returns what it has so far',
    default: '45',
    read: z.coerce.number('expected a number').min(5, 'expected at least 5').max(3600, 'expected at most 3600'),
  },
  maxUpload: {
    option: '--max-upload',
    value: '<megabytes>',
    env: 'DSTACK_MCP_MAX_UPLOAD',
    meaning: 'most megabytes of files that one plan may send to the dstack server, before compression',
    default: '20',
    read: z.coerce.number('expected a number').positive(),
  },
  maxCopy: {
    option: '--max-copy',
    value: '<megabytes>',
    env: 'DSTACK_MCP_MAX_COPY',
    meaning: 'most megabytes of files that one call of copy may move between the workspace and a run',
    default: '10240',
    read: z.coerce.number('expected a number').positive(),
  },
  logLevel: {
    option: '--log-level',
    value: '<level>',
    env: 'DSTACK_MCP_LOG_LEVEL',
    meaning: 'log level on standard error: trace, debug, info, warn, error, silent',
    default: 'warn',
    read: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  },
} as const;

/** One setting, whose value has the type `T`. */
export type Setting<T> = {
  /** With its dashes. */
  readonly option: string;
  /** The placeholder of its value; `[on|off]` may be left out, which means on. */
  readonly value: string;
  readonly env: string;
  readonly meaning: string;
  /** In words, or as the text of the value. */
  readonly default: string;
  readonly read: z.ZodType<T>;
};

/** Every setting, in the order of `--help` and of the documentation. */
export const ALL_SETTINGS: readonly Setting<unknown>[] = Object.values(SETTINGS);

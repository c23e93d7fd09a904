import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { expandHome, homeFolder } from '../core/paths.ts';
import { sandboxPlace } from './sandbox-place.ts';
import type { SandboxPlace } from './sandbox-place.ts';
import { givenText, stateFolder } from './state-folder.ts';
import { SETTINGS } from './setting-definitions.ts';
import type { EnvFilesMode, Setting } from './setting-definitions.ts';

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

/** A setting as `--help` and the documentation show it. */
export interface SettingDescription {
  /** With its dashes. */
  readonly option: string;
  /** The placeholder of its value; `[on|off]` may be left out, which means on. */
  readonly value: string;
  readonly env: string;
  readonly meaning: string;
  readonly default: string;
}

/** Describes every setting, in the order of `--help` and of the documentation. */
export function describeSettings(): readonly SettingDescription[] {
  return Object.values(SETTINGS).map(({ option, value, env, meaning, shown }) => ({
    option,
    value,
    env,
    meaning,
    default: shown,
  }));
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
      `Meaning: ${setting.meaning}. Default: ${setting.shown}.`,
    );
  };
  const stateDir = stateFolder(read(SETTINGS.stateDir));
  const sandbox = read(SETTINGS.sandbox) === true ? sandboxPlace(stateDir) : undefined;
  const workspace = read(SETTINGS.workspace) ?? sandbox?.workspace;
  return Object.freeze({
    cli: read(SETTINGS.cli) ?? sandbox?.cli,
    project: read(SETTINGS.project),
    workspace: readWorkspace(workspace, env),
    workspaceIsSet: workspace !== undefined,
    stateDir: sandbox?.stateDir ?? stateDir,
    sandbox,
    readOnly: read(SETTINGS.readOnly) ?? false,
    confirm: read(SETTINGS.confirm) ?? 'ask',
    policy: read(SETTINGS.policy),
    maxPrice: read(SETTINGS.maxPrice),
    dialog: read(SETTINGS.dialog) ?? 'auto',
    card: read(SETTINGS.card) ?? 'auto',
    structured: read(SETTINGS.structured) ?? false,
    toolPrefix: read(SETTINGS.toolPrefix) ?? '',
    warm: read(SETTINGS.warm) ?? 'on',
    envFiles: read(SETTINGS.envFiles) ?? 'ask',
    timeoutMs: (read(SETTINGS.timeout) ?? 45) * 1000,
    maxUploadBytes: Math.floor((read(SETTINGS.maxUpload) ?? 20) * 1024 ** 2),
    maxCopyBytes: Math.floor((read(SETTINGS.maxCopy) ?? 10_240) * 1024 ** 2),
    logLevel: read(SETTINGS.logLevel) ?? 'warn',
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

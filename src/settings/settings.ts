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

import { homedir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { parseOptions } from './parse-options.ts';
import type { Options } from './parse-options.ts';
import { givenText, stateFolder } from './state-folder.ts';

const onOff = z
  .string()
  .trim()
  .toLowerCase()
  .pipe(z.enum(['on', 'off', 'true', 'false', '1', '0', 'yes', 'no']))
  .transform((value) => value === 'on' || value === 'true' || value === '1' || value === 'yes');

/** One setting: what it means (for `--help` and the documentation), and how its text is read. */
const SETTINGS = {
  cli: {
    option: 'cli',
    env: 'DSTACK_MCP_CLI',
    meaning: 'the dstack executable',
    shown: 'found on PATH and in the usual places',
    read: z.string(),
  },
  project: {
    option: 'project',
    env: 'DSTACK_PROJECT',
    meaning: "the dstack project, dstack's own variable",
    shown: "the CLI's default project",
    read: z.string(),
  },
  workspace: {
    option: 'workspace',
    env: 'DSTACK_MCP_WORKSPACE',
    meaning: 'folders that configurations may be read from and written to (path list)',
    shown: 'the working directory; ~/dstack where that is the home folder or the root of the disk',
    read: z.string(),
  },
  stateDir: {
    option: 'state-dir',
    env: 'DSTACK_MCP_STATE_DIR',
    meaning: 'folder for attachments, the audit log and what makes the next start quicker',
    shown: "the platform's state directory",
    read: z.string(),
  },
  readOnly: {
    option: 'read-only',
    env: 'DSTACK_MCP_READ_ONLY',
    meaning: 'only tools that change nothing: on, off',
    shown: 'off',
    read: onOff,
  },
  confirm: {
    option: 'confirm',
    env: 'DSTACK_MCP_CONFIRM',
    meaning: 'who confirms a change: ask (a person where one can be asked, else the token), person, token',
    shown: 'ask',
    read: z.enum(['ask', 'person', 'token']),
  },
  policy: {
    option: 'policy',
    env: 'DSTACK_MCP_POLICY',
    meaning: 'a YAML file with caps, allowed kinds and protected names',
    shown: 'none',
    read: z.string(),
  },
  maxPrice: {
    option: 'max-price',
    env: 'DSTACK_MCP_MAX_PRICE',
    meaning: 'hard cap in dollars an hour, for all nodes together',
    shown: 'none',
    read: z.coerce.number('a number is needed').nonnegative(),
  },
  dialog: {
    option: 'dialog',
    env: 'DSTACK_MCP_DIALOG',
    meaning: "ask in a dialog on the person's desktop where the client can't: auto, off",
    shown: 'auto',
    read: z.enum(['auto', 'off']),
  },
  card: {
    option: 'card',
    env: 'DSTACK_MCP_CARD',
    meaning: 'ask in a card (MCP Apps) where the client declares that it shows them: auto, off',
    shown: 'auto',
    read: z.enum(['auto', 'off']),
  },
  warm: {
    option: 'warm',
    env: 'DSTACK_MCP_WARM',
    meaning: 'keep a warm dstack process: on, off',
    shown: 'on',
    read: onOff,
  },
  envFiles: {
    option: 'env-files',
    env: 'DSTACK_MCP_ENV_FILES',
    meaning: 'take the variables that a configuration names from the .envrc or .env beside it: on, off',
    shown: 'off',
    read: onOff,
  },
  timeout: {
    option: 'timeout',
    env: 'DSTACK_MCP_TIMEOUT',
    meaning: 'seconds after which a call returns what it knows',
    shown: '45',
    read: z.coerce.number('a number is needed').min(5).max(3600),
  },
  logLevel: {
    option: 'log-level',
    env: 'DSTACK_MCP_LOG_LEVEL',
    meaning: 'log level on standard error: trace, debug, info, warn, error, silent',
    shown: 'warn',
    read: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  },
} as const;

type Setting<T> = {
  readonly option: string;
  readonly env: string;
  readonly meaning: string;
  readonly shown: string;
  readonly read: z.ZodType<T>;
};

/** Everything an operator can set, read once at start. */
export interface Settings {
  readonly cli: string | undefined;
  readonly project: string | undefined;
  /** Absolute folders. */
  readonly workspace: readonly string[];
  readonly stateDir: string;
  readonly readOnly: boolean;
  readonly confirm: 'ask' | 'person' | 'token';
  readonly policy: string | undefined;
  /** Dollars an hour. */
  readonly maxPrice: number | undefined;
  readonly dialog: 'auto' | 'off';
  readonly card: 'auto' | 'off';
  readonly warm: boolean;
  readonly envFiles: boolean;
  readonly timeoutMs: number;
  readonly logLevel: string;
}

const COMMANDS = ['serve', 'doctor', 'sandbox', 'demo'] as const;

/** What the command line asks for: a subcommand with its settings. */
export interface CommandLine {
  readonly command: (typeof COMMANDS)[number] | 'help' | 'version';
  readonly settings: Settings;
  readonly json: boolean;
}

/** The lines of `--help` and of the documentation, one per setting. */
export function describeSettings(): readonly { option: string; env: string; meaning: string; default: string }[] {
  return Object.values(SETTINGS).map(({ option, env, meaning, shown }) => ({
    option: `--${option}`,
    env,
    meaning,
    default: shown,
  }));
}

/**
 * Reads the command line over the environment.
 * @throws ToolError `invalid-input` for an unknown option or a value that can't be read: a start with half-read settings isn't safe.
 */
export function readCommandLine(argv: readonly string[], env: NodeJS.ProcessEnv): CommandLine {
  const { values, positionals } = parseOptions(argv, optionsOfServer());
  const [command = 'serve', ...rest] = positionals;
  const known = COMMANDS.find((name) => name === command);
  if (rest.length > 0 || known === undefined) {
    const unknown = rest[0] ?? command;
    throw new ToolError(
      'invalid-input',
      `Unknown command: ${unknown}`,
      'Commands: setup, doctor, sandbox, demo; none serves MCP over stdio. See --help.',
    );
  }
  const chosen = values['help'] ? 'help' : values['version'] ? 'version' : known;
  return { command: chosen, settings: readSettings(values, env), json: values['json'] === true };
}

function optionsOfServer(): Options {
  const settings = Object.values(SETTINGS).map(({ option }) => [option, { type: 'string' }] as const);
  return {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
    json: { type: 'boolean' },
    ...Object.fromEntries(settings),
  };
}

function readSettings(values: Record<string, string | boolean | undefined>, env: NodeJS.ProcessEnv): Settings {
  const read = <T>(setting: Setting<T>): T | undefined => {
    const text = givenText(values[setting.option] ?? env[setting.env]);
    if (text === undefined) return undefined;
    const result = setting.read.safeParse(text);
    if (result.success) return result.data;
    const problem = result.error.issues.map((issue) => issue.message).join('; ');
    throw new ToolError(
      'invalid-input',
      `${setting.env} is "${text}": ${problem}`,
      `It means: ${setting.meaning}. Default: ${setting.shown}.`,
    );
  };
  return Object.freeze({
    cli: read(SETTINGS.cli),
    project: read(SETTINGS.project),
    workspace: readWorkspace(read(SETTINGS.workspace), env),
    stateDir: stateFolder(read(SETTINGS.stateDir)),
    readOnly: read(SETTINGS.readOnly) ?? false,
    confirm: read(SETTINGS.confirm) ?? 'ask',
    policy: read(SETTINGS.policy),
    maxPrice: read(SETTINGS.maxPrice),
    dialog: read(SETTINGS.dialog) ?? 'auto',
    card: read(SETTINGS.card) ?? 'auto',
    warm: read(SETTINGS.warm) ?? true,
    envFiles: read(SETTINGS.envFiles) ?? false,
    timeoutMs: (read(SETTINGS.timeout) ?? 45) * 1000,
    logLevel: read(SETTINGS.logLevel) ?? 'warn',
  });
}

function readWorkspace(list: string | undefined, env: NodeJS.ProcessEnv): readonly string[] {
  const home = env['HOME'] ?? env['USERPROFILE'] ?? homedir();
  const expand = (folder: string): string => path.resolve(folder.replace(/^~(?=$|[/\\])/, home));
  if (list !== undefined)
    return list
      .split(path.delimiter)
      .filter((folder) => folder.trim() !== '')
      .map(expand);
  const cwd = process.cwd();
  // Claude Desktop starts servers in / or in the home folder: neither is a project.
  const tooWide = cwd === path.parse(cwd).root || cwd === path.resolve(home);
  return [tooWide ? path.join(home, 'dstack') : cwd];
}

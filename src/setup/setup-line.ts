import { ToolError } from '../core/errors.ts';
import { parseOptions } from '../settings/parse-options.ts';
import { CLIENTS } from './clients.ts';
import type { SetupClient } from './clients.ts';

/** A setting that may be given to the server along with its entry. */
export interface SettingName {
  /** With its dashes, as on the command line. */
  readonly option: string;
  readonly env: string;
}

/** What `dstack-mcp setup …` asks for. */
export type SetupLine =
  | { readonly kind: 'help' }
  | { readonly kind: 'list' }
  | {
      readonly kind: 'setup';
      readonly client: SetupClient;
      /** The server's name in the client. */
      readonly name: string;
      readonly undo: boolean;
      readonly dryRun: boolean;
      readonly yes: boolean;
      /** Another file than the client's usual one. */
      readonly file: string | undefined;
      /** The server's settings, as variables. */
      readonly settings: Readonly<Record<string, string>>;
    };

const FLAGS = {
  help: { type: 'boolean', short: 'h' },
  list: { type: 'boolean' },
  undo: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  name: { type: 'string' },
  file: { type: 'string' },
} as const;

/** Reads the arguments after `setup`. @throws ToolError `invalid-input` with the clients that there are */
export function readSetupLine(argv: readonly string[], settings: readonly SettingName[]): SetupLine {
  const { values, positionals } = parse(argv, settings);
  if (values['help'] === true) return { kind: 'help' };
  if (values['list'] === true) return { kind: 'list' };
  const [id, ...rest] = positionals;
  const client = CLIENTS.find((one) => one.id === id);
  if (client === undefined || rest.length > 0) {
    throw new ToolError(
      'invalid-input',
      id === undefined ? 'Which client?' : `There is no client ${rest[0] ?? id}. Nothing was changed.`,
      `dstack-mcp setup ${CLIENTS.map((one) => one.id).join(' | ')}; --list shows which of them are here.`,
    );
  }
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  const given = settings.flatMap(({ option, env }) => {
    const value = text(option.slice(2));
    return value === undefined ? [] : [[env, value] as const];
  });
  return {
    kind: 'setup',
    client,
    name: readName(text('name') ?? 'dstack'),
    undo: values['undo'] === true,
    dryRun: values['dry-run'] === true,
    yes: values['yes'] === true,
    file: text('file'),
    settings: Object.fromEntries(given),
  };
}

function parse(argv: readonly string[], settings: readonly SettingName[]): ReturnType<typeof parseOptions> {
  const given = settings.map(({ option }) => [option.slice(2), { type: 'string' }] as const);
  return parseOptions(argv, { ...FLAGS, ...Object.fromEntries(given) });
}

function readName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
  throw new ToolError(
    'invalid-input',
    `${JSON.stringify(name)} can't be a server's name. Nothing was changed.`,
    'Letters, digits, - and _ make a name that every client takes.',
  );
}

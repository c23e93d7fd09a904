import { joinOr, nearestNames } from '../core/values.ts';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ToolError } from '../core/errors.ts';
import { cacheFolder, VERSION } from '../settings/installation.ts';
import { ALL_SETTINGS, readSettings } from '../settings/settings.ts';
import { CLIENTS } from '../setup/clients.ts';
import type { SetupOrder } from '../setup/setup-command.ts';

/** Texts of settings by option, as `readSettings` takes them. */
type GivenSettings = Readonly<Record<string, unknown>>;

export type CommandLine =
  | { readonly command: 'serve'; readonly settings: GivenSettings }
  | { readonly command: 'doctor'; readonly settings: GivenSettings; readonly json: boolean; readonly verbose: boolean }
  | { readonly command: 'setup'; readonly order: SetupOrder | 'list' }
  | { readonly command: 'sandbox' | 'demo' }
  /** Help or the version. */
  | { readonly command: 'print'; readonly text: string };

/**
 * Parses the command line.
 * @throws ToolError `invalid-input` for an unknown command, option or value, with a suggestion and the help to read.
 */
export function readCommandLine(argv: readonly string[], name = 'dstack-mcp'): CommandLine {
  let line: CommandLine | undefined;
  let printed = '';
  const program = createProgram(
    name,
    (chosen) => (line = chosen),
    (text) => (printed += text),
  );
  try {
    program.parse(withSwitchValues(withoutHelpCommand(argv)), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw toUsageError(error, program, argv);
  }
  return line ?? { command: 'print', text: printed };
}

/** Reads `help` and `help setup` as `--help` and `setup --help`. */
const withoutHelpCommand = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv;

type Choose = (line: CommandLine) => void;

function createProgram(name: string, choose: Choose, print: (text: string) => void): Command {
  const program = new Command(name)
    .description(
      'Serves the dstack CLI as MCP tools over standard input and output. An MCP client starts it; to add it to one, use setup.',
    )
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help; <command> --help prints the help of a command')
    .helpCommand(false)
    .enablePositionalOptions()
    .allowExcessArguments()
    .configureOutput({ writeOut: print, outputError: () => undefined })
    .exitOverride();
  addSettings(program).action(() => {
    const [unknown] = program.args;
    if (unknown !== undefined) throw unknownCommand(unknown, program);
    choose({ command: 'serve', settings: settingsOf(program) });
  });
  addSetup(program, choose);
  addDoctor(program, choose);
  const connect = `Connect a client to it with: ${name} setup <client> --sandbox\n`;
  const others = [
    ['sandbox', 'start a real dstack server with simulated machines, to try everything without GPUs', connect],
    ['demo', 'run an end-to-end demo against the sandbox', ''],
  ] as const;
  for (const [other, summary, more] of others)
    program
      .command(other)
      .description(summary)
      .addHelpText('after', () => `\n${more}${describeCache()}`)
      .action(() => choose({ command: other }));
  for (const command of program.commands)
    command.helpOption('-h, --help', 'print this help').allowExcessArguments(false);
  return program;
}

const describeCache = (): string =>
  `On exit it removes everything but dstack itself, which the first start installs (268 MB).\nTo free its space, remove ${cacheFolder()}.\n`;

function addSetup(program: Command, choose: Choose): void {
  const clients = CLIENTS.map(({ id }) => id);
  const command = program
    .command('setup')
    .description("add this server to an MCP client's configuration: shows the change, asks, and keeps a backup")
    .argument('[client]', `the client to configure: ${clients.join(', ')}`)
    .option('--list', 'list the clients and their configuration files')
    .option('--dry-run', 'show the change without writing it')
    .option('-y, --yes', 'write without asking')
    .option('--undo', 'remove this server from the configuration')
    .option(
      '--name <name>',
      'name of this server in the client (default: dstack, or dstack-sandbox with --sandbox)',
      readName,
    )
    .option('--file <file>', "configuration file, instead of the client's usual one");
  addHiddenSettings(command, 'The settings that you pass become part of the entry').action((id: string | undefined) => {
    const { list, dryRun, yes, undo, file, name: named } = command.opts<SetupFlags>();
    if (list === true) return choose({ command: 'setup', order: 'list' });
    const client = CLIENTS.find((one) => one.id === id);
    if (client === undefined) throw noClient(id, program);
    const given = settingsOf(command);
    // Invalid settings would keep the server from starting.
    const { sandbox } = readSettings(given, {});
    // The user's own dstack keeps its entry.
    const name = named ?? (sandbox === undefined ? 'dstack' : 'dstack-sandbox');
    const settings = Object.fromEntries(
      ALL_SETTINGS.flatMap(({ option, env }) =>
        typeof given[option] === 'string' ? [[env, given[option]] as const] : [],
      ),
    );
    const flags = { dryRun: dryRun === true, yes: yes === true, undo: undo === true };
    choose({ command: 'setup', order: { client, name, file, settings, ...flags } });
  });
}

interface SetupFlags {
  readonly list?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly undo?: true;
  readonly name?: string;
  readonly file?: string;
}

function addDoctor(program: Command, choose: Choose): void {
  const command = program
    .command('doctor')
    .description(
      'check the dstack executable, the server, the project, ssh, the workspace and the policy; exits with 1 if there is a problem',
    )
    .option('--json', 'print the checks as JSON')
    .option('--verbose', 'also print details: the places searched for dstack, and what was agreed to');
  addHiddenSettings(command, 'It also takes the settings').action(() => {
    const { json, verbose } = command.opts<{ json?: true; verbose?: true }>();
    choose({ command: 'doctor', settings: settingsOf(command), json: json === true, verbose: verbose === true });
  });
}

const settingOptions = (): readonly Option[] =>
  ALL_SETTINGS.map(
    ({ option, value, env, meaning, default: fallback }) =>
      new Option(`${option} ${value}`, `${meaning} (default: ${fallback}; env: ${env})`),
  );

function addSettings(command: Command): Command {
  for (const option of settingOptions()) command.addOption(option.helpGroup('Settings:'));
  return command;
}

/** Adds the settings without listing them in the help of a command: that of the program does. */
function addHiddenSettings(command: Command, says: string): Command {
  for (const option of settingOptions()) command.addOption(option.hideHelp());
  const program = command.parent?.name() ?? '';
  return command.addHelpText('after', `\n${says}, such as --workspace: see ${program} --help.`);
}

/** Returns the texts of settings that were given, before or after the command's name. */
function settingsOf(command: Command): GivenSettings {
  const values = command.optsWithGlobals<Record<string, unknown>>();
  return Object.fromEntries(command.options.map((option) => [option.long ?? '', values[option.attributeName()]]));
}

/** Adds `on` to a switch without a value, so that the next word isn't read as its value. */
function withSwitchValues(argv: readonly string[]): string[] {
  return argv.map((word, index) => {
    const setting = ALL_SETTINGS.find(({ option, value }) => option === word && value.startsWith('['));
    return setting === undefined || setting.read.safeParse(argv[index + 1]).success ? word : `${word}=on`;
  });
}

function readName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
  throw new InvalidArgumentError('Use letters, digits, - and _, at most 64.');
}

function toUsageError(error: CommanderError, program: Command, argv: readonly string[]): ToolError {
  const command = program.commands.map((one) => one.name()).find((name) => argv.includes(name));
  const [problem = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const changed = command === 'setup' ? ' Nothing was changed.' : '';
  const hint = [
    ...(suggestion === undefined ? [] : [suggestion.replace(/^\((.*)\)$/, '$1')]),
    `See ${[program.name(), ...(command === undefined ? [] : [command]), '--help'].join(' ')}.`,
  ];
  return new ToolError(
    'invalid-input',
    `${problem.charAt(0).toUpperCase()}${problem.slice(1).replace(/\.$/, '')}.${changed}`,
    hint.join(' '),
    { cause: error },
  );
}

function unknownCommand(name: string, program: Command): ToolError {
  const commands = program.commands.map((command) => command.name());
  const [nearest] = nearestNames(name, commands);
  return new ToolError(
    'invalid-input',
    `Unknown command: ${name}.`,
    `${nearest === undefined ? `The commands are ${commands.join(', ')}.` : `Did you mean ${nearest}?`} See ${program.name()} --help.`,
  );
}

function noClient(given: string | undefined, program: Command): ToolError {
  const clients = CLIENTS.map(({ id }) => id);
  // Most people say claude.
  const near = given === undefined ? [] : nearestNames(given, [...clients, 'claude']);
  const meant = [...new Set(near.flatMap((one) => clients.filter((id) => id === one || id.startsWith(`${one}-`))))];
  return new ToolError(
    'invalid-input',
    `${given === undefined ? 'setup needs the name of a client' : `Unknown client: ${given}`}. Nothing was changed.`,
    `${meant.length === 0 ? '' : `Did you mean ${joinOr(meant)}? `}Run ${program.name()} setup <client>, with one of: ${clients.join(', ')}. --list shows which of them are on this computer.`,
  );
}

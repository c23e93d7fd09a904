import { ToolError } from '../../core/errors.ts';
import { joinOr, nearestNames } from '../../core/values.ts';
import type { Effect } from '../../core/report.ts';
import { RUNNABLE_COMMANDS, checkFlagValue, checkName, flagOwner, ruleOf } from './command-rules.ts';
import type { CommandRule } from './command-rules.ts';
import type { Catalog, CheckedArgv, CommandRequest, DocumentedFlag, FlagPlaces, HelpPage } from './command.ts';

/** Returns the sensitive flags (files, secrets, network access) that the operator allows a model to use. */
type AllowedFlags = () => readonly string[];

interface CheckedFlag {
  readonly flag: DocumentedFlag;
  readonly place: 'own' | 'parent';
  /** One per use; empty for a switch. */
  readonly values: readonly string[];
}

/**
 * Checks a request against what the installed CLI documents for the command, and returns the argv. This is the only way to get one.
 * @throws ToolError that names the violated rule and what is documented, and says that nothing was run.
 */
export async function checkArgv(
  request: CommandRequest,
  catalog: Catalog,
  allowedFlags: AllowedFlags = () => [],
): Promise<CheckedArgv> {
  const { command } = request;
  if (ruleOf(command, new Set()) === undefined) throw notRunnable(command);
  const { help } = await readPage(catalog, request);
  const places = await catalog.flagsOf(command, request.configurationType);
  const where = { command, version: catalog.version, places };
  const asked: RequestedFlag[] = [
    ...Object.entries(request.flags ?? {})
      .filter(([, value]) => value !== undefined && value !== false)
      .map(([name, value]) => ({ name, value, by: 'tool' as const })),
    ...Object.entries(request.extraFlags ?? {}).map(([name, value]) => ({ name, value, by: 'model' as const })),
  ];
  assertDocumented(asked, where);
  const given = asked.map((one) => checkFlag(one, where, allowedFlags));
  const rule = ruleOf(command, new Set(given.map(({ flag }) => flag.long)));
  if (rule === undefined) throw notRunnable(command);
  checkTogether(given, help, where);
  checkRule(given, rule, command);
  const positionals = checkPositionals(request.positionals ?? [], help, rule, where);
  const words = command.split(' ');
  const parentFlags = emit(given, 'parent');
  const argv = [...words.slice(0, -1), ...parentFlags, ...words.slice(-1), ...emit(given, 'own'), ...positionals];
  return brand(command, argv, rule.effect);
}

/** Returns the help page of an allowed command. If it isn't documented, the installed CLI is too old; the caller made no mistake. */
async function readPage(catalog: Catalog, { command, configurationType }: CommandRequest): ReturnType<Catalog['page']> {
  try {
    return await catalog.page(command, configurationType);
  } catch (error) {
    if (!(error instanceof ToolError) || error.code !== 'unknown-command' || configurationType !== undefined)
      throw error;
    throw new ToolError(
      'cli-too-old',
      `${error.message} This tool needs \`${command}\`. Nothing was run.`,
      error.hint,
      {
        cause: error,
      },
    );
  }
}

/**
 * Returns the argv that prints the help page of a command. It runs nothing else for any words.
 * @throws ToolError `unknown-command` if the words can't be a command.
 */
export function checkHelpArgv(command: string, configurationType?: string): CheckedArgv<'read'> {
  const words = command === '' ? [] : command.split(' ');
  const all = configurationType === undefined ? words : [...words, configurationType];
  if (words.length > 3 || !all.every((word) => /^[a-z][a-z-]{0,40}$/.test(word))) {
    throw new ToolError(
      'unknown-command',
      `${JSON.stringify(command.slice(0, 80))} isn't a dstack command.`,
      'Pass a command such as `apply` or `run get`.',
    );
  }
  // `-h TYPE` is the documented form. argparse also accepts `--help TYPE`, but the page says `-h`.
  const argv = configurationType === undefined ? [...words, '--help'] : [...words, '-h', configurationType];
  return brand(`${command} --help`.trim(), argv, 'read');
}

/** Returns the argv that prints the CLI's version. */
export function checkVersionArgv(): CheckedArgv<'read'> {
  return brand('--version', ['--version'], 'read');
}

/** Every argv that was created here, for the check at run time. */
const created = new WeakSet<object>();

/** Returns whether a value is an argv that was created here, not a look-alike. */
export const isCheckedArgv = (value: unknown): value is CheckedArgv =>
  typeof value === 'object' && value !== null && created.has(value);

/** Narrows a checked argv by its effect. */
export function hasEffect<E extends Effect>(argv: CheckedArgv, effect: E): argv is CheckedArgv<E> {
  return argv.effect === effect;
}

function brand<E extends Effect>(command: string, argv: readonly string[], effect: E): CheckedArgv<E> {
  const value: object = Object.freeze({ command, argv: Object.freeze([...argv]), effect });
  created.add(value);
  if (!isCheckedArgv(value) || !hasEffect(value, effect)) throw new TypeError('unreachable: it was just created');
  return value;
}

interface RequestedFlag {
  readonly name: string;
  readonly value: unknown;
  readonly by: 'tool' | 'model';
}

/** @throws ToolError `unknown-flag` that names all flags of the model that aren't documented: each call would find one more. */
function assertDocumented(asked: readonly RequestedFlag[], where: FlagContext): void {
  const { own, parent } = where.places;
  const unknown = asked.filter(({ name, by }) => by === 'model' && !own.has(name) && !parent.has(name));
  const [first, ...others] = unknown.map(({ name }) => unknownFlag(name, where));
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const all = [first, ...others];
  const said = all.map(({ message }) => message.replace(/ Nothing was run\.$/, ''));
  const hints = [...new Set(all.map(({ hint }) => hint))];
  throw new ToolError('unknown-flag', `${said.join(' ')} Nothing was run.`, hints.join(' '));
}

function checkFlag({ name, value, by }: RequestedFlag, where: FlagContext, allowedFlags: AllowedFlags): CheckedFlag {
  const own = where.places.own.get(name);
  const flag = own ?? where.places.parent.get(name);
  if (flag === undefined) throw toolFlagMissing(name, where);
  if (by === 'model') assertModelMayUse(flag, allowedFlags);
  return { flag, place: own === undefined ? 'parent' : 'own', values: checkValues(flag, value) };
}

/** The error for a flag that a tool itself sets: an older CLI lacks it, and nothing that the model passes can fix that. */
const toolFlagMissing = (name: string, { command, version }: FlagContext): ToolError =>
  new ToolError(
    'cli-too-old',
    `This needs ${name}, which dstack ${version} doesn't document for \`${command}\`. Nothing was run.`,
    'Omit the input that requires it, or upgrade dstack: `uv tool upgrade dstack` or `pip install -U dstack`.',
  );

function checkValues(flag: DocumentedFlag, value: unknown): readonly string[] {
  const { long } = flag;
  if (flag.value === 'none') {
    if (value === true) return [];
    throw new ToolError(
      'invalid-value',
      `${long} is a switch and takes no value. Nothing was run.`,
      `Set ${long} to true, or omit it.`,
    );
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0 || (values.length > 1 && !flag.repeatable)) {
    const many =
      values.length === 0
        ? 'has an empty list of values'
        : `has ${values.length} values but isn't documented as repeatable`;
    throw new ToolError(
      'invalid-value',
      `${long} ${many}. Nothing was run.`,
      `Pass one value for ${long}: ${flag.help}`,
    );
  }
  return values.map((one) => checkFlagValue(flag, one));
}

function assertModelMayUse(flag: DocumentedFlag, allowedFlags: AllowedFlags): void {
  const owner = flagOwner(flag);
  if (owner === 'tool') throw setByTool(flag.long);
  if (owner === 'model' || allowedFlags().includes(flag.long)) return;
  throw new ToolError(
    'forbidden-flag',
    `${flag.long} can't be used by models: it can read files, expose secrets or open network access. Nothing was run.`,
    `Omit ${flag.long}. If the user needs it, they can run dstack themselves in a terminal.`,
  );
}

const setByTool = (long: string): ToolError =>
  new ToolError(
    'forbidden-flag',
    `${long} is set by this server. Nothing was run.`,
    `Omit ${long} and use the tool's own inputs.`,
  );

/** Checks flags in combination: none twice, at most one of an exclusive group, and all that the command requires. */
function checkTogether(given: readonly CheckedFlag[], help: HelpPage, where: FlagContext): void {
  const groups = new Map<number, string>();
  const seen = new Set<string>();
  for (const { flag, place } of given) {
    if (seen.has(flag.long)) throw setByTool(flag.long);
    seen.add(flag.long);
    if (place === 'parent' || flag.exclusiveGroup === undefined) continue;
    const other = groups.get(flag.exclusiveGroup);
    if (other !== undefined) {
      throw new ToolError(
        'invalid-input',
        `${flag.long} and ${other} are mutually exclusive. Nothing was run.`,
        `Omit one of them. Usage: ${help.usage}`,
      );
    }
    groups.set(flag.exclusiveGroup, flag.long);
  }
  const missing = [...where.places.own.values()].filter((flag) => flag.required && !seen.has(flag.long));
  if (missing.length > 0) {
    const names = missing.map((flag) => flag.long).join(', ');
    throw new ToolError(
      'invalid-input',
      `dstack ${where.command} requires ${names}. Nothing was run.`,
      `Usage: ${help.usage}`,
    );
  }
}

function checkRule(given: readonly CheckedFlag[], rule: CommandRule, command: string): void {
  const names = given.map(({ flag }) => flag.long);
  const refused = names.find((name) => rule.refuses.includes(name));
  const missing = rule.needs.find((name) => !names.includes(name));
  if (refused === undefined && missing === undefined) return;
  const problem =
    refused === undefined
      ? `without ${missing} would wait for input or never end`
      : `with ${refused} is not supported by this server`;
  throw new ToolError(
    'forbidden-flag',
    `dstack ${command} ${problem}. Nothing was run.`,
    'Use the dedicated tool instead.',
  );
}

function checkPositionals(
  positionals: readonly string[],
  help: HelpPage,
  rule: CommandRule,
  where: FlagContext,
): readonly string[] {
  const documented = rule.named ? help.positionals.slice(0, 1) : [];
  if (positionals.length > documented.length) {
    throw new ToolError(
      'invalid-input',
      `dstack ${where.command} doesn't accept this argument: ${JSON.stringify(positionals.at(-1)?.slice(0, 80))}. Nothing was run.`,
      `Usage: ${help.usage}`,
    );
  }
  const [name] = documented;
  if (name !== undefined && name.required && positionals.length === 0) {
    throw new ToolError(
      'invalid-input',
      `dstack ${where.command} requires a name (${name.name}). Nothing was run.`,
      `Usage: ${help.usage}`,
    );
  }
  return positionals.map(checkName);
}

const emit = (given: readonly CheckedFlag[], place: CheckedFlag['place']): string[] =>
  given
    .filter((one) => one.place === place)
    .flatMap(({ flag, values }) => (values.length === 0 ? [flag.long] : values.flatMap((value) => [flag.long, value])));

function notRunnable(command: string): ToolError {
  return new ToolError(
    'unknown-command',
    `This server doesn't run \`dstack ${command.slice(0, 80)}\`. Nothing was run.`,
    `It runs: ${RUNNABLE_COMMANDS.join(', ')}. The user can run anything else in a terminal.`,
  );
}

/** The command that a flag is for, and what is documented about it. */
interface FlagContext {
  readonly command: string;
  readonly version: string;
  readonly places: FlagPlaces;
}

/** Lists of up to this many flags are shown in full. */
const SHORT_LIST = 12;

/** Returns the error for a flag that isn't documented: what is wrong with it, and which documented flags are similar. */
function unknownFlag(name: string, where: FlagContext): ToolError {
  const all = [...new Set([...where.places.own.values(), ...where.places.parent.values()])];
  // Doesn't suggest flags that models aren't allowed to use.
  const flags = all.filter((flag) => flagOwner(flag) === 'model');
  const documented = flags.map((flag) => flag.long);
  const shown = JSON.stringify(name.slice(0, 80));
  const list = listOf(documented, where.command);
  const refuse = (problem: string, hint: string): ToolError =>
    new ToolError('unknown-flag', `${problem} Nothing was run.`, `${hint} ${list}`);

  const bare = name.split('=', 1)[0] ?? '';
  if (bare !== name && flags.some((flag) => flag.long === bare || flag.short === bare)) {
    return refuse(
      `${shown} contains the value.`,
      `Pass the flag and its value separately: { "${longOf(bare, flags)}": value }.`,
    );
  }
  const long = longOf(name, flags);
  if (long !== name) return refuse(`${shown} is a short flag; only long flags are supported.`, `Use ${long}.`);
  if (/^-[A-Za-z]/.test(name))
    return refuse(`${shown} isn't a long flag.`, 'Only long flags are supported, one at a time, such as --all.');
  const meant =
    name.startsWith('--') && name.length > 2 ? documented.filter((candidate) => candidate.startsWith(name)) : [];
  if (meant.length > 0)
    return refuse(`${shown} is abbreviated; only full names are supported.`, `Use ${joinOr(meant)}.`);
  const near = nearestNames(name, documented);
  const hint = near.length > 0 ? `Did you mean ${joinOr(near)}?` : 'Omit it.';
  return refuse(`dstack ${where.version} doesn't document ${shown} for \`${where.command}\`.`, hint);
}

const longOf = (name: string, flags: readonly { long: string; short?: string }[]): string =>
  flags.find((flag) => flag.short === name)?.long ?? name;

function listOf(documented: readonly string[], command: string): string {
  if (documented.length === 0) return `\`${command}\` accepts no flags here.`;
  if (documented.length > SHORT_LIST) return `See \`dstack ${command} --help\`.`;
  return `Flags of \`${command}\`: ${documented.join(', ')}.`;
}

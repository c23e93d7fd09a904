import { ToolError } from '../../core/errors.ts';
import type { Effect } from '../../core/report.ts';
import type { Catalog, FlagPlaces, DocumentedFlag, HelpPage } from './catalog-types.ts';
import { checkFlagValue, checkName } from './check-value.ts';
import { flagOwner, RUNNABLE_COMMANDS, ruleOf } from './command-rules.ts';
import type { CommandRule } from './command-rules.ts';
import type { CheckedArgv, CommandRequest } from './command.ts';
import { unknownFlag } from './explain-unknown-flag.ts';

/** What the operator has set about argvs. */
export interface ArgvRules {
  /** Flags that read files, carry secrets or open something, which the operator lets a model give. */
  readonly allowedFlags?: readonly string[];
}

interface GivenFlag {
  readonly flag: DocumentedFlag;
  readonly place: 'own' | 'parent';
  /** One for each time it is given; none for a switch. */
  readonly values: readonly string[];
}

/**
 * Checks what is to be run against what the installed CLI documents for this very command, and gives the argv: the only way to one.
 * @throws ToolError that says which rule it breaks, what is documented instead, and that nothing was run.
 */
export async function checkArgv(
  request: CommandRequest,
  catalog: Catalog,
  rules: ArgvRules = {},
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
  const given = asked.map((one) => checkFlag(one, where, rules));
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

/** The page of a command that may be run; one that isn't documented is the installed CLI's lack, not the caller's mistake. */
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
 * The argv that prints the help page of a command: nothing else is run by it, whatever the words are.
 * @throws ToolError `unknown-command` for words that can't be a command's.
 */
export function checkHelpArgv(command: string, configurationType?: string): CheckedArgv<'read'> {
  const words = command === '' ? [] : command.split(' ');
  const all = configurationType === undefined ? words : [...words, configurationType];
  if (words.length > 3 || !all.every((word) => /^[a-z][a-z-]{0,40}$/.test(word))) {
    throw new ToolError(
      'unknown-command',
      `${JSON.stringify(command.slice(0, 80))} is no dstack command.`,
      'Ask for the help of a command such as `apply` or `run get`.',
    );
  }
  // `-h TYPE` is the one documented form: argparse reads `--help TYPE` as well, but the page says `-h`.
  const argv = configurationType === undefined ? [...words, '--help'] : [...words, '-h', configurationType];
  return brand(`${command} --help`.trim(), argv, 'read');
}

/** The argv that prints the CLI's version. */
export function checkVersionArgv(): CheckedArgv<'read'> {
  return brand('--version', ['--version'], 'read');
}

/** Every argv that was made here, for the check at run time. */
const made = new WeakSet<object>();

/** Whether a value is an argv that was made here: a look-alike is none. */
export const isCheckedArgv = (value: unknown): value is CheckedArgv =>
  typeof value === 'object' && value !== null && made.has(value);

/** Narrows a checked argv by its effect. */
export function hasEffect<E extends Effect>(argv: CheckedArgv, ...effects: readonly E[]): argv is CheckedArgv<E> {
  return effects.some((effect) => effect === argv.effect);
}

function brand<E extends Effect>(command: string, argv: readonly string[], effect: E): CheckedArgv<E> {
  const value: object = Object.freeze({ command, argv: Object.freeze([...argv]), effect });
  made.add(value);
  if (!isCheckedArgv(value) || !hasEffect(value, effect)) throw new TypeError('unreachable: it was made just now');
  return value;
}

interface Where {
  readonly command: string;
  readonly version: string;
  readonly places: FlagPlaces;
}

interface RequestedFlag {
  readonly name: string;
  readonly value: unknown;
  readonly by: 'tool' | 'model';
}

function checkFlag({ name, value, by }: RequestedFlag, where: Where, rules: ArgvRules): GivenFlag {
  const own = where.places.own.get(name);
  const flag = own ?? where.places.parent.get(name);
  if (flag === undefined) throw by === 'model' ? unknownFlag(name, where) : toolFlagMissing(name, where);
  if (by === 'model') assertModelMayUse(flag, rules);
  return { flag, place: own === undefined ? 'parent' : 'own', values: checkValues(flag, value) };
}

/** What a tool itself gives isn't documented: an older CLI lacks it, and no other word of the model's would mend that. */
const toolFlagMissing = (name: string, { command, version }: Where): ToolError =>
  new ToolError(
    'cli-too-old',
    `dstack ${version} doesn't document ${name} for \`${command}\`, which this needs. Nothing was run.`,
    'Leave out the input that asks for it, or upgrade dstack: `uv tool upgrade dstack` or `pip install -U dstack`.',
  );

function checkValues(flag: DocumentedFlag, value: unknown): readonly string[] {
  const { long } = flag;
  if (flag.value === 'none') {
    if (value === true) return [];
    throw new ToolError(
      'invalid-value',
      `${long} is a switch and takes no value. Nothing was run.`,
      `Give ${long} the value true, or leave it out.`,
    );
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0 || (values.length > 1 && !flag.repeatable)) {
    const many =
      values.length === 0
        ? 'has an empty list of values'
        : `has ${values.length} values, and isn't documented as repeatable`;
    throw new ToolError('invalid-value', `${long} ${many}. Nothing was run.`, `Give ${long} one value: ${flag.help}`);
  }
  return values.map((one) => checkFlagValue(flag, one));
}

function assertModelMayUse(flag: DocumentedFlag, rules: ArgvRules): void {
  const giver = flagOwner(flag);
  if (giver === 'tool') throw setByTool(flag.long);
  if (giver === 'model' || rules.allowedFlags?.includes(flag.long) === true) return;
  throw new ToolError(
    'forbidden-flag',
    `${flag.long} isn't taken from a model: it reads files, carries a secret or opens something to others. Nothing was run.`,
    `Leave ${flag.long} out. What it sets can be written into the configuration file by the person who runs dstack.`,
  );
}

const setByTool = (long: string): ToolError =>
  new ToolError(
    'forbidden-flag',
    `${long} is set by this server itself. Nothing was run.`,
    `Leave ${long} out: use the tool's own inputs.`,
  );

/** Holds the flags together: none twice, one of an exclusive group, and all that the command requires. */
function checkTogether(given: readonly GivenFlag[], help: HelpPage, where: Where): void {
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
        `${flag.long} and ${other} exclude each other. Nothing was run.`,
        `Leave one of the two out. Usage: ${help.usage}`,
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

function checkRule(given: readonly GivenFlag[], rule: CommandRule, command: string): void {
  const names = given.map(({ flag }) => flag.long);
  const refused = names.find((name) => rule.refuses.includes(name));
  const missing = rule.needs.find((name) => !names.includes(name));
  if (refused === undefined && missing === undefined) return;
  const problem =
    refused === undefined
      ? `without ${missing} would wait for an answer or never end`
      : `with ${refused} isn't run by this server in this form`;
  throw new ToolError(
    'forbidden-flag',
    `dstack ${command} ${problem}. Nothing was run.`,
    'Use the tool that is made for this.',
  );
}

function checkPositionals(
  positionals: readonly string[],
  help: HelpPage,
  rule: CommandRule,
  where: Where,
): readonly string[] {
  const documented = rule.named ? help.positionals.slice(0, 1) : [];
  if (positionals.length > documented.length) {
    throw new ToolError(
      'invalid-input',
      `dstack ${where.command} takes no such argument: ${JSON.stringify(positionals.at(-1)?.slice(0, 80))}. Nothing was run.`,
      `Usage: ${help.usage}`,
    );
  }
  const [name] = documented;
  if (name !== undefined && name.required && positionals.length === 0) {
    throw new ToolError(
      'invalid-input',
      `dstack ${where.command} needs a name (${name.name}). Nothing was run.`,
      `Usage: ${help.usage}`,
    );
  }
  return positionals.map(checkName);
}

const emit = (given: readonly GivenFlag[], place: GivenFlag['place']): string[] =>
  given
    .filter((one) => one.place === place)
    .flatMap(({ flag, values }) => (values.length === 0 ? [flag.long] : values.flatMap((value) => [flag.long, value])));

function notRunnable(command: string): ToolError {
  return new ToolError(
    'unknown-command',
    `This server doesn't run \`dstack ${command.slice(0, 80)}\`. Nothing was run.`,
    `It runs: ${RUNNABLE_COMMANDS.join(', ')}. Anything else is for the person to run in a terminal.`,
  );
}

import { ToolError } from '../../core/errors.ts';
import { joinOr, nearestNames } from '../../core/values.ts';
import type { Catalog, DocumentedFlag, DocumentedPositional, DocumentedSubcommand, HelpPage } from '../argv/command.ts';

/** A line of a section together with its wrapped help text. */
interface Item {
  readonly kind: 'flag' | 'positional' | 'subcommand';
  readonly invocation: string;
  help: string;
}

interface UsagePart {
  readonly words: string;
  readonly required: boolean;
  readonly exclusiveGroup?: number;
}

const CHOICES = /^\{(.+)\}$/;
const LONG_NAME = /^--[a-z0-9][a-z0-9-]*$/;

/**
 * Parses the output of `dstack … --help`, at any width.
 * @throws ToolError `cli-not-understood` if it isn't an argparse help page.
 */
export function parseHelp(text: string): HelpPage {
  const lines = text.replaceAll('\r', '').split('\n');
  const start = lines.findIndex((line) => /^usage:/i.test(line));
  if (start === -1) {
    const seen = text.trim().slice(0, 200);
    throw new ToolError(
      'cli-not-understood',
      `dstack --help printed no usage line: ${seen}`,
      'Run `dstack --help` in a terminal to see what is wrong.',
    );
  }
  const usageEnd = lines.findIndex((line, index) => index > start && line.trim() === '');
  const usageLines = lines.slice(start, usageEnd === -1 ? lines.length : usageEnd);
  const usage = usageLines
    .map((line) => line.trim())
    .join(' ')
    .replace(/^usage:\s*/i, '');
  const { program, parts } = readUsage(usage);
  const items = usageEnd === -1 ? [] : readItems(lines.slice(usageEnd));
  const subcommands = items.filter((item) => item.kind === 'subcommand').map(toSubcommand);
  return {
    program,
    usage,
    positionals: readPositionals(parts, items, subcommands.length > 0),
    flags: items.flatMap((item) => (item.kind === 'flag' ? (toFlag(item, parts) ?? []) : [])),
    subcommands,
  };
}

/** Splits at `separator`, except inside brackets. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if ('[({'.includes(text.charAt(at))) depth++;
    else if ('])}'.includes(text.charAt(at))) depth--;
    else if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(from, at));
      from = at + separator.length;
    }
  }
  return [...parts, text.slice(from)].filter((part) => part !== '');
}

function readUsage(usage: string): { program: string; parts: UsagePart[] } {
  const tokens = splitOutside(usage, ' ');
  const first = tokens.findIndex((token) => /^[[({-]/.test(token));
  const rest = first === -1 ? [] : tokens.slice(first);
  const parts: UsagePart[] = [];
  let groups = 0;
  for (const token of rest) {
    const optional = token.startsWith('[') && token.endsWith(']');
    const grouped = optional || (token.startsWith('(') && token.endsWith(')'));
    const alternatives = grouped ? splitOutside(token.slice(1, -1), ' | ') : [token];
    const group = alternatives.length > 1 ? { exclusiveGroup: groups++ } : {};
    for (const words of alternatives) parts.push({ words, required: !optional, ...group });
  }
  return { program: tokens.slice(0, first === -1 ? tokens.length : first).join(' '), parts };
}

function readItems(lines: readonly string[]): Item[] {
  const items: Item[] = [];
  let inSection = false;
  for (const line of lines) {
    if (/^\S.*:$/.test(line)) inSection = true;
    else if (/^\S/.test(line)) inSection = false;
    else if (inSection && line.trim() !== '') addLine(items, line);
  }
  return items;
}

function addLine(items: Item[], line: string): void {
  const [, indent = '', invocation = '', help = ''] = /^( +)(.+?)(?: {2,}(.*))?$/.exec(line.trimEnd()) ?? [];
  const last = items.at(-1);
  if (indent.length === 2) items.push({ kind: invocation.startsWith('-') ? 'flag' : 'positional', invocation, help });
  // Subcommands are indented by two more, below the positional whose choices they are.
  else if (indent.length === 4 && (last?.kind === 'positional' || last?.kind === 'subcommand'))
    items.push({ kind: 'subcommand', invocation, help });
  else if (last !== undefined) last.help = `${last.help} ${line.trim()}`.trim();
}

function toSubcommand(item: Item): DocumentedSubcommand {
  const [, name = item.invocation, aliases = ''] = /^(\S+)(?: \((.+)\))?$/.exec(item.invocation) ?? [];
  return { name, aliases: aliases === '' ? [] : aliases.split(/, */), help: item.help };
}

function toFlag(item: Item, parts: readonly UsagePart[]): DocumentedFlag | undefined {
  const names: string[] = [];
  let metavar = '';
  // Python 3.13 prints `-f, --file FILE`, older versions `-f FILE, --file FILE`.
  for (const form of splitOutside(item.invocation, ', ')) {
    const [name = '', ...rest] = splitOutside(form, ' ');
    names.push(name);
    metavar = rest.join(' ') || metavar;
  }
  const [long, ...aliases] = names.filter((name) => LONG_NAME.test(name));
  if (long === undefined) return undefined;
  const short = names.find((name) => /^-[A-Za-z0-9]$/.test(name));
  const part = parts.find(({ words }) => names.includes(words.split(' ', 1)[0] ?? ''));
  const optional = metavar.startsWith('[') && metavar.endsWith(']');
  const name = optional ? metavar.slice(1, -1) : metavar;
  const choices = CHOICES.exec(name)?.[1]?.split(',');
  return {
    long,
    ...(short === undefined ? {} : { short }),
    aliases,
    value: name === '' ? 'none' : { metavar: name, optional },
    repeatable: name !== '' && inferRepeatable(item.help),
    ...(choices === undefined ? {} : { choices }),
    // A required group needs one of its flags, not all.
    required: part !== undefined && part.required && part.exclusiveGroup === undefined,
    ...(part?.exclusiveGroup === undefined ? {} : { exclusiveGroup: part.exclusiveGroup }),
    help: item.help,
  };
}

function readPositionals(
  parts: readonly UsagePart[],
  items: readonly Item[],
  hasSubcommands: boolean,
): DocumentedPositional[] {
  const found: DocumentedPositional[] = [];
  for (const item of items) {
    // The placeholder for subcommands isn't a positional.
    if (item.kind !== 'positional' || (hasSubcommands && found.length === 0 && isSubcommandSlot(item, items))) continue;
    const part = parts.find(({ words }) => words === item.invocation || words.startsWith(`${item.invocation} `));
    const choices = CHOICES.exec(item.invocation)?.[1]?.split(',');
    found.push({
      name: item.invocation,
      required: part?.required ?? true,
      many: part?.words.includes('...') ?? false,
      ...(choices === undefined ? {} : { choices }),
      help: item.help,
    });
  }
  return found;
}

const isSubcommandSlot = (item: Item, items: readonly Item[]): boolean =>
  items[items.indexOf(item) + 1]?.kind === 'subcommand';

/**
 * Wordings in dstack's help texts for repeatable flags, which argparse doesn't mark. Only unambiguous ones: a flag wrongly treated as
 * repeatable would silently lose all values but the last.
 */
const SIGNS = [
  /\b(?:can be|may be) (?:repeated|(?:specified|used|given|passed) (?:multiple|several) times)/i,
  /\brepeat for several\b/i,
  /\(s\)/,
  // "The backends that will be tried", "The instances to delete"
  /^The (?:[\w-]+ )*[\w-]*[^\Wsu]s (?:that|to)\b/,
  // "events that target the specified fleets", "entities of the specified types"
  /\bthe specified [\w-]*[^\Wsu]s\b/,
  /^Environment variables$/,
  /^Port mapping overrides$/,
];

/** Returns whether a flag's help text says that it is repeatable. */
function inferRepeatable(help: string): boolean {
  return SIGNS.some((sign) => sign.test(help));
}

/** The help that was asked for: a page, or the entries that contain a word. */
interface FoundHelp {
  /** The words that show it: `apply --help`. */
  readonly argv: readonly string[];
  readonly text: string;
  readonly isPage: boolean;
}

/** Finds the help of a command (`run get`), of one flag (`apply --spot`, `--spot`), or of a word. @throws ToolError if there is none */
export async function findHelp(catalog: Catalog, asked: string, type: string | undefined): Promise<FoundHelp> {
  const words = asked
    .replace(/^\s*dstack(?=\s|$)/, '')
    .split(/\s+/)
    .filter(Boolean);
  const at = words.findIndex((word) => word.startsWith('-'));
  const command = (at === -1 ? words : words.slice(0, at)).join(' ');
  const flag = words[at];
  const page = { command, ...(type === undefined ? {} : { type }) };
  if (flag !== undefined) return command === '' ? findEverywhere(catalog, flag) : findFlag(catalog, page, flag);
  try {
    const { text } = await catalog.page(command, type);
    return { argv: argvOf(page), text, isPage: true };
  } catch (error) {
    const isWord = error instanceof ToolError && error.code === 'unknown-command' && words.length === 1;
    if (!isWord || type !== undefined) throw error;
    return findEverywhere(catalog, command, error);
  }
}

interface Page {
  readonly command: string;
  readonly type?: string;
}

const argvOf = ({ command, type }: Page): string[] => [
  ...command.split(' ').filter(Boolean),
  ...(type === undefined ? ['--help'] : ['-h', type]),
];

/** The types that have their own pages of flags for `apply`. */
const APPLY_TYPES = ['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway'];

async function findFlag(catalog: Catalog, page: Page, flag: string): Promise<FoundHelp> {
  // An unknown command is reported as such.
  await catalog.page(page.command, page.type);
  const pages = page.command === 'apply' && page.type === undefined ? applyPages : [page];
  const text = await findEntries(catalog, pages, flag);
  if (text !== '') return { argv: argvOf(page), text, isPage: false };
  const documented = await Promise.all(
    pages.map(async (one) => (await catalog.page(one.command, one.type)).help.flags),
  );
  const near = nearestNames(flag, [...new Set(documented.flat().map(({ long }) => long))]);
  throw new ToolError(
    'unknown-flag',
    `dstack ${catalog.version} doesn't document ${JSON.stringify(flag)} for \`${page.command}\`.`,
    near.length > 0 ? `Did you mean ${joinOr(near)}?` : `help with command "${page.command}" shows its flags.`,
  );
}

/** Finds the entries that contain a word, on all pages. @throws ToolError `cause`, or `unknown-flag`, if there are none */
async function findEverywhere(catalog: Catalog, word: string, cause?: ToolError): Promise<FoundHelp> {
  const nested = await Promise.all(
    (await catalog.commands()).map(async ({ name }) => {
      const { subcommands } = (await catalog.page(name)).help;
      return [name, ...subcommands.map((sub) => `${name} ${sub.name}`)];
    }),
  );
  const pages = nested.flat().flatMap((command) => (command === 'apply' ? applyPages : [{ command }]));
  const text = await findEntries(catalog, pages, word);
  if (text !== '') return { argv: ['--help'], text, isPage: false };
  throw (
    cause ??
    new ToolError('unknown-flag', `dstack ${catalog.version} doesn't document ${JSON.stringify(word)}.`, 'Omit it.')
  );
}

const applyPages: readonly Page[] = [{ command: 'apply' }, ...APPLY_TYPES.map((type) => ({ command: 'apply', type }))];

/** Returns the entries that contain a word, verbatim, below the command of their page; each only once. */
async function findEntries(catalog: Catalog, pages: readonly Page[], word: string): Promise<string> {
  const found = await Promise.all(
    pages.map(async (page) => {
      const { text } = await catalog.page(page.command, page.type);
      return entriesOf(text).flatMap((entry) => (contains(entry, word) ? [{ command: page.command, entry }] : []));
    }),
  );
  const byCommand = new Map<string, Set<string>>();
  for (const { command, entry } of found.flat())
    byCommand.set(command, (byCommand.get(command) ?? new Set()).add(entry));
  return [...byCommand].map(([command, entries]) => [`dstack ${command}:`, ...entries].join('\n')).join('\n');
}

const contains = (entry: string, word: string): boolean =>
  word.startsWith('-') ? namesOf(entry).includes(word) : new RegExp(`\\b${escape(word)}\\b`, 'i').test(entry);

const escape = (word: string): string => word.replaceAll(/[^\w]/g, '\\$&');

/** Returns the flags that an entry documents. */
const namesOf = (entry: string): string[] => (entry.split('\n')[0] ?? '').match(/(?<=^ *|, )--?[\w-]+/g) ?? [];

/** Splits a help page into the entries of its sections: a flag, an argument or a subcommand, with its wrapped text. */
function entriesOf(text: string): string[] {
  const entries: string[][] = [];
  let isInSection = false;
  for (const line of text.replaceAll('\r', '').split('\n')) {
    if (/^\S/.test(line)) isInSection = line.endsWith(':');
    else if (isInSection && /^ {2}(?: {2})?\S/.test(line)) entries.push([line]);
    else if (isInSection && line.trim() !== '') entries.at(-1)?.push(line);
  }
  return entries.map((lines) => lines.join('\n'));
}

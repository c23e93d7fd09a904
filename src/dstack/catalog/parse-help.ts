import { ToolError } from '../../core/errors.ts';
import type { DocumentedFlag, DocumentedPositional, DocumentedSubcommand, HelpPage } from '../argv/command.ts';

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

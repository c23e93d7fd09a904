import { joinOr } from '../../core/format-values.ts';
import { ToolError } from '../../core/errors.ts';
import type { Catalog } from '../argv/command.ts';
import { nearestNames } from '../argv/nearest-names.ts';

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

import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { openHelpCache } from './help-cache.ts';
import type { HelpSource } from './help-source.ts';
import { parseHelp } from './parse-help.ts';
import type { CliIdentity } from '../locate/cli-identity.ts';
import type { CatalogPage, FlagPlaces, Catalog, DocumentedFlag } from '../argv/catalog.ts';

export interface CatalogOptions {
  readonly source: HelpSource;
  readonly identity: CliIdentity;
  readonly cacheDir: string;
  readonly log: Log;
}

/** The flags that a subcommand inherits from its parent. */
const INHERITED = new Set(['--project']);

/** Creates the catalog of the CLI with this identity. Pages are read on demand. */
export function createCatalog({ source, identity, cacheDir, log }: CatalogOptions): Catalog {
  const { version } = identity;
  const cache = openHelpCache({ cacheDir, identity, log });
  const pages = new Map<string, Promise<CatalogPage>>();

  const readPage = async (command: string, configurationType?: string): Promise<CatalogPage> => {
    const key = configurationType === undefined ? command : `${command} -h ${configurationType}`;
    const cached = await cache.get(key);
    const text = cached ?? (await source.read(command, configurationType));
    const help = parseHelp(text);
    // argparse treats words after a command without subcommands as its arguments, and prints that command's page.
    if (help.program.split(' ').slice(1).join(' ') !== command)
      throw new ToolError('unknown-command', `dstack doesn't document \`${command}\`.`, '');
    if (cached === undefined) {
      cache.set(key, text);
      for (const [words, other] of Object.entries(source.prefetchedPages?.() ?? {})) cache.set(words, other);
    }
    return { text, help };
  };

  const page = async (command: string, configurationType?: string): Promise<CatalogPage> => {
    const key = `${command}\0${configurationType ?? ''}`;
    let reading = pages.get(key);
    if (reading === undefined) {
      reading = readPage(command, configurationType);
      pages.set(key, reading);
      reading.catch(() => pages.delete(key));
    }
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof ToolError) || error.code !== 'unknown-command') throw error;
      return await explainUnknown(command, configurationType, error);
    }
  };

  const explainUnknown = async (
    command: string,
    configurationType: string | undefined,
    cause: ToolError,
  ): Promise<CatalogPage> => {
    if (configurationType !== undefined) {
      await page(command);
      throw new ToolError(
        'unknown-command',
        `dstack ${version} doesn't document the configuration type \`${configurationType}\` for \`${command}\`.`,
        UPGRADE,
        { cause },
      );
    }
    if (command === '') throw cause;
    const words = command.split(' ');
    const parent = words.slice(0, -1).join(' ');
    const { help } = await page(parent);
    const last = words.at(-1) ?? '';
    const alias = help.subcommands.find((sub) => sub.aliases.includes(last));
    if (alias !== undefined) return page([...words.slice(0, -1), alias.name].join(' '));
    const names = help.subcommands.map((sub) => sub.name).join(', ');
    const documented = names === '' ? 'no subcommands' : names;
    throw new ToolError(
      'unknown-command',
      `dstack ${version} doesn't document \`${command}\`; ${parent === '' ? 'it' : `\`${parent}\``} documents: ${documented}.`,
      UPGRADE,
      {
        cause,
      },
    );
  };

  const flagsOf = async (command: string, configurationType?: string): Promise<FlagPlaces> => {
    const own = byName((await page(command, configurationType)).help.flags);
    const parentCommand = command.split(' ').slice(0, -1).join(' ');
    const wanted = [...INHERITED].filter((name) => !own.has(name));
    if (parentCommand === '' || wanted.length === 0) return { own, parent: new Map() };
    const { help } = await page(parentCommand);
    return { own, parent: byName(help.flags.filter((flag) => wanted.includes(flag.long))) };
  };

  return {
    version,
    page,
    flagsOf,
    commands: async () => (await page('')).help.subcommands,
    settled: () => cache.settled(),
  };
}

const UPGRADE = 'If it needs a newer dstack, upgrade: `uv tool upgrade dstack` or `pip install -U dstack`.';

/** Indexes flags by all their documented long names. */
const byName = (flags: readonly DocumentedFlag[]): Map<string, DocumentedFlag> =>
  new Map(flags.flatMap((flag) => [flag.long, ...flag.aliases].map((name) => [name, flag] as const)));

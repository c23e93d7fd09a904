import { joinOr } from '../../core/format-values.ts';
import { ToolError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { nearestNames } from '../argv/nearest-names.ts';
import type { Catalog, CatalogPage, DocumentedFlag, DocumentedSubcommand, FlagPlaces } from '../argv/catalog.ts';
import type { CliIdentity } from '../locate/cli-identity.ts';
import { openHelpCache } from './help-cache.ts';
import type { HelpCache } from './help-cache.ts';
import type { HelpSource } from './help-source.ts';
import { parseHelp } from './parse-help.ts';

export interface CatalogOptions {
  readonly source: HelpSource;
  readonly identity: CliIdentity;
  readonly cacheDir: string;
  readonly log: Log;
}

/** Creates the catalog of the CLI with this identity. Pages are read on demand. */
export const createCatalog = (options: CatalogOptions): Catalog => new HelpCatalog(options);

/** The flags that a subcommand inherits from its parent. */
const INHERITED = new Set(['--project']);

const UPGRADE = 'If it needs a newer dstack, upgrade: `uv tool upgrade dstack` or `pip install -U dstack`.';

class HelpCatalog implements Catalog {
  readonly version: string;
  readonly #source: HelpSource;
  readonly #cache: HelpCache;
  readonly #pages = new Map<string, Promise<CatalogPage>>();

  constructor({ source, identity, cacheDir, log }: CatalogOptions) {
    this.version = identity.version;
    this.#source = source;
    this.#cache = openHelpCache({ cacheDir, identity, log });
  }

  async page(command: string, configurationType?: string): Promise<CatalogPage> {
    const key = `${command}\0${configurationType ?? ''}`;
    let reading = this.#pages.get(key);
    if (reading === undefined) {
      reading = this.#read(command, configurationType);
      this.#pages.set(key, reading);
      reading.catch(() => this.#pages.delete(key));
    }
    try {
      return await reading;
    } catch (error) {
      if (!(error instanceof ToolError) || error.code !== 'unknown-command') throw error;
      if (configurationType !== undefined) throw await this.#unknownType(command, configurationType, error);
      if (command === '') throw error;
      return await this.#pageOfAlias(command, error);
    }
  }

  async flagsOf(command: string, configurationType?: string): Promise<FlagPlaces> {
    const own = byName((await this.page(command, configurationType)).help.flags);
    const parentCommand = command.split(' ').slice(0, -1).join(' ');
    const wanted = [...INHERITED].filter((name) => !own.has(name));
    if (parentCommand === '' || wanted.length === 0) return { own, parent: new Map() };
    const { help } = await this.page(parentCommand);
    return { own, parent: byName(help.flags.filter((flag) => wanted.includes(flag.long))) };
  }

  async commands(): Promise<readonly DocumentedSubcommand[]> {
    return (await this.page('')).help.subcommands;
  }

  settled(): Promise<void> {
    return this.#cache.settled();
  }

  async #read(command: string, configurationType?: string): Promise<CatalogPage> {
    const key = configurationType === undefined ? command : `${command} -h ${configurationType}`;
    const cached = await this.#cache.get(key);
    const { text, others = {} } =
      cached === undefined ? await this.#source.read(command, configurationType) : { text: cached };
    const help = parseHelp(text);
    // argparse treats words after a command without subcommands as its arguments, and prints that command's page.
    if (help.program.split(' ').slice(1).join(' ') !== command)
      throw new ToolError('unknown-command', `dstack doesn't document \`${command}\`.`, '');
    if (cached === undefined) {
      this.#cache.set(key, text);
      for (const [words, other] of Object.entries(others)) this.#cache.set(words, other);
    }
    return { text, help };
  }

  async #unknownType(command: string, configurationType: string, cause: ToolError): Promise<ToolError> {
    // An unknown command is reported as such.
    await this.page(command);
    return new ToolError(
      'unknown-command',
      `dstack ${this.version} doesn't document the configuration type \`${configurationType}\` for \`${command}\`.`,
      UPGRADE,
      { cause },
    );
  }

  /** Returns the page of the command that an alias stands for. @throws ToolError that lists the documented commands. */
  async #pageOfAlias(command: string, cause: ToolError): Promise<CatalogPage> {
    const words = command.split(' ');
    const last = words.pop() ?? '';
    const parent = words.join(' ');
    const { help } = await this.page(parent);
    const alias = help.subcommands.find((sub) => sub.aliases.includes(last));
    if (alias !== undefined) return this.page([...words, alias.name].join(' '));
    const names = help.subcommands.map((sub) => sub.name);
    const meant = nearestNames(last, names).map((name) => `\`${[...words, name].join(' ')}\``);
    const documented = names.join(', ') || 'no subcommands';
    throw new ToolError(
      'unknown-command',
      `dstack ${this.version} doesn't document \`${command}\`; ${parent === '' ? 'it' : `\`${parent}\``} documents: ${documented}.`,
      meant.length === 0 ? UPGRADE : `Did you mean ${joinOr(meant)}?`,
      { cause },
    );
  }
}

/** Indexes flags by all their documented long names. */
const byName = (flags: readonly DocumentedFlag[]): Map<string, DocumentedFlag> =>
  new Map(flags.flatMap((flag) => [flag.long, ...flag.aliases].map((name) => [name, flag] as const)));

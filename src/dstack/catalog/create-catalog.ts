import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { ToolError } from '../../core/errors.ts';
import { joinOr, nearestNames, sha256 } from '../../core/values.ts';
import type { Log } from '../../core/log.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-files.ts';
import { checkHelpArgv } from '../argv/check-argv.ts';
import type { Catalog, CatalogPage, DocumentedFlag, DocumentedSubcommand, FlagPlaces } from '../argv/command.ts';
import { cliIdentity } from '../locate/cli-identity.ts';
import type { CliIdentity } from '../locate/cli-identity.ts';
import type { Runner, WireRule } from '../run/runner.ts';
import type { HelpTexts } from '../warm/introspection.ts';
import { parseHelp } from './help-pages.ts';

interface CatalogOptions {
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

/** A page of help, and the pages that were read with it, by their words (`ps`, `apply -h task`). */
interface HelpText {
  readonly text: string;
  readonly others?: Readonly<Record<string, string>>;
}

/** A source of help pages. */
interface HelpSource {
  /**
   * Returns the output of `dstack <command> --help`, or of `dstack <command> -h <type>`.
   * @throws ToolError `unknown-command` if dstack doesn't know the command.
   */
  read(command: string, configurationType?: string): Promise<HelpText>;
}

interface HelpSourceOptions {
  readonly runner: Pick<Runner, 'read'>;
}

const TIMEOUT_MS = 30_000;

/** dstack prints a page of help without its server, but it takes words that aren't a command for the arguments of one. */
const SENDS_NOTHING: WireRule = { server: null, project: null, handOver: false, asks: false };

/** argparse's exit code for unknown arguments. */
const USAGE_ERROR = 2;

/** Creates a source that reads each page through a runner. */
export function createHelpSource({ runner }: HelpSourceOptions): HelpSource {
  return {
    async read(command, configurationType) {
      const argv = checkHelpArgv(command, configurationType);
      const {
        command: shown,
        exit,
        stdout,
        stderr,
      } = await runner.read(argv, {
        timeoutMs: TIMEOUT_MS,
        wire: SENDS_NOTHING,
      });
      if (exit.kind === 'exited' && exit.code === 0) return { text: stdout };
      const tail = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('\n');
      if (exit.kind === 'exited' && exit.code === USAGE_ERROR)
        throw new ToolError('unknown-command', tail, 'Use help to see the documented commands.');
      const hint = `Run \`${shown}\` in a terminal to see what is wrong with the installation.`;
      if (exit.kind === 'timed-out')
        throw new ToolError(
          'timed-out',
          `\`${shown}\` didn't finish within ${TIMEOUT_MS / 1000} s. Nothing was changed.`,
          hint,
        );
      if (exit.kind === 'cancelled')
        throw new ToolError(
          'cancelled',
          `\`${shown}\` was canceled. Nothing was changed.`,
          'Make the same call again.',
        );
      if (exit.kind === 'not-started')
        throw new ToolError('cli-not-found', `\`${shown}\` couldn't be started: ${exit.reason}`, 'Check with doctor.');
      throw new ToolError(
        'cli-not-understood',
        `\`${shown}\` failed, so the flags of the command are unknown: ${tail}`,
        hint,
      );
    },
  };
}

interface WholeHelpSourceOptions {
  /** Returns all pages at once, from dstack's own interpreter; undefined if that isn't possible. */
  readonly helpTexts: () => Promise<HelpTexts | undefined>;
  /** The source for other pages: a command by an alias, or one that doesn't exist. */
  readonly fallback: HelpSource;
}

/** Creates a source that reads all help pages at once: sixty commands, each of which would take a second. */
export function createWholeHelpSource({ helpTexts, fallback }: WholeHelpSourceOptions): HelpSource {
  let reading: Promise<HelpTexts | undefined> | undefined;
  return {
    async read(command, configurationType) {
      reading ??= helpTexts().catch(() => undefined);
      const texts = await reading;
      if (texts === undefined) reading = undefined;
      const others = texts?.help ?? {};
      const text = others[configurationType === undefined ? command : `${command} -h ${configurationType}`];
      return { text: text ?? (await fallback.read(command, configurationType)).text, others };
    },
  };
}

/** Help pages on disk, by the words of their command. */
export interface HelpCache {
  get(key: string): Promise<string | undefined>;
  /** Stores a page. It is written in the background; a failed write is only logged. */
  set(key: string, text: string): void;
  /** Resolves once everything stored so far was written or has failed. */
  settled(): Promise<void>;
}

const cacheFile = z.strictObject({
  format: z.literal(1),
  identity: cliIdentity,
  pages: z.record(z.string(), z.string()),
});

/** Opens the cache of one CLI, in one file per executable. Ignores pages of another version and a file that can't be read. */
export function openHelpCache({
  cacheDir,
  identity,
  log,
}: {
  cacheDir: string;
  identity: CliIdentity;
  log: Log;
}): HelpCache {
  const file = path.join(cacheDir, `catalog-${sha256(identity.realpath).slice(0, 16)}.json`);
  const pages = new Map<string, string>();
  let loaded: Promise<void> | undefined;
  let writing = Promise.resolve();
  let due = false;

  const load = async (): Promise<void> => {
    const stored = await readPrivateJson(file, cacheFile);
    if (stored === undefined || !isDeepStrictEqual(stored.identity, { ...identity })) {
      log.debug({ file }, 'no cached help pages');
      return;
    }
    for (const [key, text] of Object.entries(stored.pages)) if (!pages.has(key)) pages.set(key, text);
  };
  const write = async (): Promise<void> => {
    due = false;
    await writePrivateJson(file, { format: 1, identity, pages: Object.fromEntries(pages) }, log);
  };
  return {
    async get(key) {
      loaded ??= load();
      await loaded;
      return pages.get(key);
    },
    set(key, text) {
      pages.set(key, text);
      // One write covers everything that was stored before it began.
      if (!due) writing = writing.then(write);
      due = true;
    },
    settled: () => writing,
  };
}

import { confirm, select, text } from '@clack/prompts';
import { canAccess } from '../core/paths.ts';
import { diffTexts } from '../configuration/configuration-text.ts';
import { ToolError } from '../core/errors.ts';
import { sandboxCommand } from '../settings/installation.ts';
import { applyFileChange, planSetup, planUndo, readClientFile, UneditableText, UnreadableText } from './client-file.ts';
import type { ClientFile, FileChange } from './client-file.ts';
import { chooseSettings, missingFolders } from './choose-settings.ts';
import type { Asker } from './choose-settings.ts';
import { CLIENTS, pathsOf, placeOf } from './clients.ts';
import type { Places, ServerStart, SetupClient } from './clients.ts';
import { EDITORS } from './editors.ts';

/** The arguments of `dstack-mcp setup <client>`. */
export interface SetupOrder {
  readonly client: SetupClient;
  /** The server's name in the client. */
  readonly name: string;
  readonly undo: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** Replaces the client's usual file. */
  readonly file: string | undefined;
  /** The server's settings, as environment variables. */
  readonly settings: Readonly<Record<string, string>>;
}

/** The running installation of this server. */
export interface Installation {
  readonly platform: NodeJS.Platform;
  /** The path of Node. */
  readonly node: string;
  /** The path of the script. */
  readonly server: string;
}

export interface SetupOptions {
  readonly places: Places;
  readonly installation: Installation;
  readonly print: (text: string) => void;
  /** Undefined if no one can be asked. */
  readonly asker: Asker | undefined;
}

/** Runs `dstack-mcp setup`; returns the exit code. @throws ToolError with the next step; nothing was changed then */
export async function runSetupCommand(
  order: SetupOrder | 'list',
  options: Omit<SetupOptions, 'asker'> & ListOptions & { readonly isTerminal: boolean },
): Promise<number> {
  if (order === 'list') return listClients(options);
  return runSetup(order, { ...options, asker: options.isTerminal ? TERMINAL : undefined });
}

/** Asks the person at the terminal; a question that is interrupted counts as declined. */
const TERMINAL: Asker = {
  confirm: async (message) => (await confirm({ message, initialValue: false })) === true,
  folder: async (message, suggested) => answerOf(await text({ message, initialValue: suggested })),
  approval: async (message, choices) => answerOf(await select({ message, options: [...choices] })),
};

const answerOf = (answer: string | symbol): string | undefined => (typeof answer === 'string' ? answer : undefined);

/**
 * Adds this server to a client's configuration, or removes it: shows the change, asks, backs up, writes. Returns the exit code: 0 on
 * success, 1 if the person declined.
 * @throws ToolError if the file isn't valid or no one can be asked; nothing was changed then.
 */
export async function runSetup(order: SetupOrder, options: SetupOptions): Promise<number> {
  const { print, asker } = options;
  const file = await readClientFile(order.file ?? (await findFile(order.client, options.places)));
  const completed = await withSettings(order, file, options);
  const change = planChange(completed, file, options.installation);
  if (change.kind === 'none') {
    print(`${file.path}: ${change.why} Nothing was changed.${otherEntry(order, file)}`);
    return 0;
  }
  print(showChange(file, change));
  if (order.dryRun) {
    print('Nothing was changed (--dry-run).');
    return 0;
  }
  if (!order.yes) {
    if (asker === undefined) throw noOneToAsk();
    if (!(await asker.confirm(change.kind === 'remove' ? 'Remove this file?' : 'Write this?'))) {
      print('Nothing was changed.');
      return 1;
    }
  }
  await applyFileChange(file, change);
  print(`${change.kind === 'remove' ? 'Removed' : 'Wrote'} ${file.path}.`);
  if (change.kind === 'write' && change.backUp) print(`Backup: ${file.backupPath}`);
  for (const folder of await missingFolders(completed.settings, options.places))
    print(`Create the workspace ${folder}: it doesn't exist yet.`);
  if (order.settings['DSTACK_MCP_SANDBOX'] !== undefined && !order.undo)
    print(`It uses the sandbox while that runs: start it with ${sandboxCommand()}.`);
  print(order.undo ? 'Restart the client.' : `${order.client.next} To remove the server, add --undo to this command.`);
  return 0;
}

/** Returns the file that the client reads, or would read. */
async function findFile({ file, otherFiles = [] }: SetupClient, places: Places): Promise<string> {
  for (const find of otherFiles) if (await canAccess(find(places))) return find(places);
  return file(places);
}

/** Completes the settings of the order, as the entry needs them. */
async function withSettings(order: SetupOrder, file: ClientFile, options: SetupOptions): Promise<SetupOrder> {
  const { client, undo, yes, dryRun } = order;
  if (undo) return order;
  const settings = { ...client.settings, ...order.settings };
  return {
    ...order,
    settings: await chooseSettings({
      client,
      settings,
      hasWorkspace: mentions(order, file, 'DSTACK_MCP_WORKSPACE'),
      hasApproval: mentions(order, file, 'DSTACK_MCP_CONFIRM'),
      places: options.places,
      asker: yes || dryRun ? undefined : options.asker,
    }),
  };
}

/** Says that the server is configured under its other name: with `--sandbox` it has a separate one. */
function otherEntry({ client, undo, name }: SetupOrder, { texts }: ClientFile): string {
  const other = { dstack: 'dstack-sandbox', 'dstack-sandbox': 'dstack' }[name];
  if (!undo || other === undefined) return '';
  const entry = EDITORS[client.format].get(texts.current ?? '', placeOf(client, other));
  if (entry === undefined) return '';
  return ` ${other} is configured there: to remove that, ${other === 'dstack' ? 'omit' : 'add'} --sandbox.`;
}

/** Whether the existing entry has a setting, which stays. A file that can't be read is reported when it is edited. */
function mentions({ client, name }: SetupOrder, { texts }: ClientFile, setting: string): boolean {
  try {
    const entry = EDITORS[client.format].get(texts.current ?? '', placeOf(client, name));
    return JSON.stringify(entry ?? '').includes(`"${setting}"`);
  } catch {
    return false;
  }
}

function planChange(order: SetupOrder, file: ClientFile, installation: Installation): FileChange {
  const { client, name, settings } = order;
  const editor = EDITORS[client.format];
  const place = placeOf(client, name);
  const entry = client.entry(name, describeStart(installation, { settings, barePath: client.barePath }));
  try {
    return order.undo ? planUndo(file.texts, { editor, place }) : planSetup(file.texts, { editor, place, entry });
  } catch (error) {
    if (error instanceof UnreadableText)
      throw new ToolError(
        'invalid-file',
        `${file.path}, line ${error.line}: ${error.message}. Nothing was changed.`,
        'Fix the file, then run this again.',
        { cause: error },
      );
    if (error instanceof UneditableText)
      throw new ToolError(
        'invalid-file',
        `${file.path} can't be edited without touching your own entries: ${error.message}. Nothing was changed.`,
        order.undo
          ? `Remove ${client.section.join('.')}.${name} yourself.`
          : `Add this yourself:\n\n${editor.show(place, entry)}`,
        { cause: error },
      );
    throw error;
  }
}

/**
 * Describes how a client starts the running server: with npx if npx installed it (its cache may be emptied), otherwise by its path.
 * A client without the shell's PATH gets the folder of Node.
 */
export function describeStart(
  { platform, node, server }: Installation,
  { settings, barePath = false }: { settings: Readonly<Record<string, string>>; barePath?: boolean | undefined },
): ServerStart {
  if (!/[/\\]_npx[/\\]/.test(server)) return { command: node, args: [server], env: { ...settings } };
  const npx = ['-y', 'dstack-mcp'];
  // On Windows npx is a .cmd file, which only a shell can start.
  if (platform === 'win32') return { command: 'cmd', args: ['/c', 'npx', ...npx], env: { ...settings } };
  if (!barePath) return { command: 'npx', args: npx, env: { ...settings } };
  const folder = pathsOf({ platform }).dirname(node);
  const folders = [...new Set([folder, '/usr/local/bin', '/usr/bin', '/bin'])];
  return { command: `${folder}/npx`, args: npx, env: { PATH: folders.join(':'), ...settings } };
}

function showChange(file: ClientFile, change: Exclude<FileChange, { kind: 'none' }>): string {
  if (change.kind === 'remove')
    return `${file.path} contains nothing else and would be removed:\n${file.texts.current}`;
  return diffTexts(file.path, file.texts.current, change.after);
}

export interface ListOptions extends Pick<SetupOptions, 'places' | 'print'> {
  /** The command that starts this program. */
  readonly command: string;
}

/** Prints every client with its configuration file. Returns the exit code. */
export async function listClients({ places, print, command }: ListOptions): Promise<number> {
  for (const client of CLIENTS) {
    const { trace = (): string => pathsOf(places).dirname(client.file(places)) } = client;
    const isInstalled = await canAccess(trace(places));
    const file = await findFile(client, places);
    print(`${isInstalled ? '✓' : ' '} ${client.id.padEnd(15)} ${client.title.padEnd(28)} ${file}`);
  }
  print(`\n✓ installed here. To add this server, run: ${command} setup <client>`);
  return 0;
}

const noOneToAsk = (): ToolError =>
  new ToolError(
    'person-needed',
    'Standard input and output are not a terminal, so no one can be asked. Nothing was changed.',
    'Run this in a terminal, or add --yes to make the change shown above. --dry-run only shows it.',
  );

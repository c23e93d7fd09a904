import { expandHome, isFolder } from '../core/paths.ts';
import { ToolError } from '../core/errors.ts';
import { parsePolicy, PolicyBroken, readPolicyText } from '../safety/policy/policy.ts';
import { pathsOf } from './clients.ts';
import type { Places, SetupClient } from './clients.ts';

/** A level of approval, as `DSTACK_MCP_CONFIRM` takes it, in a person's words. */
interface Approval {
  readonly value: string;
  readonly label: string;
}

const APPROVALS: readonly Approval[] = [
  { value: 'ask', label: 'You, if this client or a dialog can ask you; otherwise your assistant decides' },
  { value: 'person', label: 'Always you: a change is refused if nobody can be asked' },
  { value: 'token', label: 'Your assistant: nobody is asked, for unattended agents' },
];

/** Asks the person; a folder or an approval is undefined if the question was interrupted. */
export interface Asker {
  readonly confirm: (question: string) => Promise<boolean>;
  readonly folder: (question: string, suggested: string) => Promise<string | undefined>;
  readonly approval: (question: string, choices: readonly Approval[]) => Promise<string | undefined>;
}

export interface ChooseOptions {
  readonly client: Pick<SetupClient, 'hasNoProject'>;
  /** The settings of the command line, as environment variables. */
  readonly settings: Readonly<Record<string, string>>;
  /** The client's file already has a workspace for this server. */
  readonly hasWorkspace: boolean;
  readonly places: Places;
  /** The client's file already has a level of approval for this server. */
  readonly hasApproval: boolean;
  /** Undefined if no one is to be asked. */
  readonly asker: Asker | undefined;
}

/**
 * Returns the settings to write: with absolute paths, because a client starts the server in another folder, and with a workspace for
 * clients without a project.
 * @throws ToolError if the policy file can't be used, or if the person chooses no folder
 */
export async function chooseSettings(options: ChooseOptions): Promise<Readonly<Record<string, string>>> {
  const { places } = options;
  const { DSTACK_MCP_POLICY: policy, DSTACK_MCP_WORKSPACE: workspace, ...others } = options.settings;
  const checked = policy === undefined ? others : { ...others, DSTACK_MCP_POLICY: checkPolicy(policy, places) };
  const settings = { ...checked, ...(await chooseApproval(options)) };
  const chosen = workspace ?? (await chooseWorkspace(options));
  if (chosen === undefined) return settings;
  const { delimiter } = pathsOf(places);
  const named = chosen.split(delimiter).filter((folder) => folder.trim() !== '');
  const folders = named.map((folder) => toAbsolute(folder.trim(), places));
  return { ...settings, DSTACK_MCP_WORKSPACE: folders.join(delimiter) };
}

/** Returns the folders of the workspace that don't exist yet. */
export async function missingFolders(settings: Readonly<Record<string, string>>, places: Places): Promise<string[]> {
  const folders = (settings['DSTACK_MCP_WORKSPACE'] ?? '').split(pathsOf(places).delimiter).filter(Boolean);
  const found = await Promise.all(folders.map(isFolder));
  return folders.filter((_folder, index) => found[index] !== true);
}

/** Returns the person's choice of who approves changes, unless it was made before. */
async function chooseApproval({ settings, hasApproval, asker }: ChooseOptions): Promise<Record<string, string>> {
  if (hasApproval || asker === undefined || settings['DSTACK_MCP_CONFIRM'] !== undefined) return {};
  const chosen = await asker.approval('Who approves a change that costs money or ends something?', APPROVALS);
  if (chosen !== undefined) return { DSTACK_MCP_CONFIRM: chosen };
  throw new ToolError(
    'invalid-input',
    'No approval was chosen. Nothing was changed.',
    `Run setup again, or add --confirm with one of: ${APPROVALS.map(({ value }) => value).join(', ')}.`,
  );
}

/** Returns the workspace of a client without a project: the person's choice, or else the working directory. */
async function chooseWorkspace(options: ChooseOptions): Promise<string | undefined> {
  const { client, settings, hasWorkspace, places, asker } = options;
  // The sandbox has its own workspace.
  if (client.hasNoProject !== true || hasWorkspace || settings['DSTACK_MCP_SANDBOX'] !== undefined) return undefined;
  const { home, cwd } = places;
  const isProject = cwd !== home && cwd !== pathsOf(places).parse(cwd).root;
  if (asker === undefined) return isProject ? cwd : undefined;
  const suggested = isProject ? cwd : pathsOf(places).join(home, 'dstack');
  const folder = await asker.folder(
    'Folder with your configurations (the only one that is read and written)',
    suggested,
  );
  if (folder !== undefined && folder.trim() !== '') return folder;
  throw new ToolError(
    'invalid-input',
    'No folder was chosen. Nothing was changed.',
    'Run setup again, or add --workspace <folder>.',
  );
}

/** Returns the absolute path of a policy file that the server would start with. */
function checkPolicy(named: string, places: Places): string {
  const file = toAbsolute(named, places);
  try {
    parsePolicy(readPolicyText(file), file);
    return file;
  } catch (error) {
    if (!(error instanceof PolicyBroken)) throw error;
    throw new ToolError(
      'policy-broken',
      `The policy file ${file} can't be used: ${error.why}. Nothing was changed.`,
      'The server would not start with it. Fix the file or its path, then run this again.',
      { cause: error },
    );
  }
}

const toAbsolute = (named: string, places: Places): string =>
  pathsOf(places).resolve(places.cwd, expandHome(named, places.home));

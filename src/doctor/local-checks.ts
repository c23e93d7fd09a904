import { execa } from 'execa';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { canAccess, isFolder } from '../core/paths.ts';
import { formatLocalTime, joinWords, plural } from '../core/values.ts';
import type { Settings } from '../settings/settings.ts';
import type { Agreement, Agreements, Grant, Grants } from '../safety/consent/remembered-consents.ts';

export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly found: string;
  readonly fix?: string;
  /** The kind of failure, if dstack failed. */
  readonly code?: string;
  /** Details. In a terminal they are shown only with `--verbose`. */
  readonly details?: string;
}

/** Makes a check that found no problem. */
export const ok = (name: string, found: string): DoctorCheck => ({ name, state: 'ok', found });

const failing =
  (state: 'warning' | 'error') =>
  (name: string, found: string, fix: string): DoctorCheck => ({ name, state, found, fix });

/** Makes a check that found something that doesn't work. */
export const warning = failing('warning');

/** Makes a check that found what prevents every call, or every change. */
export const problem = failing('error');

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** Counts of this process's calls; undefined in a terminal. */
  readonly counters?: Readonly<Record<string, unknown>>;
}

/** Checks this computer: ssh and its files, the workspace, the state folder. */
export function checkMachine({
  settings: { workspace, stateDir },
}: {
  readonly settings: Pick<Settings, 'workspace' | 'stateDir'>;
}): readonly Promise<DoctorCheck>[] {
  return [checkSsh(), checkSshFiles(homedir()), checkWorkspace(workspace), checkState(stateDir)];
}

async function checkSsh(): Promise<DoctorCheck> {
  const { failed, stderr } = await execa('ssh', ['-V'], { reject: false, timeout: 5_000, stdin: 'ignore' });
  if (!failed) return ok('ssh', stderr.trim());
  return warning(
    'ssh',
    "ssh can't be run: attach, exec and copy won't work",
    'Install OpenSSH (openssh-client on Debian and Ubuntu)',
  );
}

/** dstack adds runs to its own SSH configuration, which it includes in the user's. */
async function checkSshFiles(home: string): Promise<DoctorCheck> {
  const files = [path.join(home, '.ssh', 'config'), path.join(home, '.dstack', 'ssh', 'config')];
  const blockers: string[] = [];
  for (const file of files) {
    const blocker = await findBlocker(file);
    if (blocker !== undefined) blockers.push(blocker);
  }
  if (blockers.length === 0) return ok('ssh config', `${files.join(' and ')} can be written`);
  return warning(
    'ssh config',
    `${blockers.join(' and ')} can't be written: attach, exec and copy won't work`,
    `Make it writable for your user. To see its owner: ${joinWords(['ls', '-ld', ...blockers])}`,
  );
}

/** Returns what prevents writing a file: the file itself, or its nearest existing parent. Undefined if it can be written. */
async function findBlocker(file: string): Promise<string | undefined> {
  for (let at = file; ; at = path.dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found === undefined && path.dirname(at) !== at) continue;
    const isRightKind = at === file ? found?.isFile() : found?.isDirectory();
    return isRightKind === true && (await canAccess(at, constants.W_OK)) ? undefined : at;
  }
}

async function checkWorkspace(folders: readonly string[]): Promise<DoctorCheck> {
  const missing: string[] = [];
  const readOnly: string[] = [];
  for (const folder of folders) {
    if (!(await isFolder(folder))) missing.push(folder);
    else if (!(await canAccess(folder, constants.W_OK))) readOnly.push(folder);
  }
  const shown = folders.join(', ');
  if (missing.length > 0)
    return warning(
      'workspace',
      `${missing.join(', ')} doesn't exist`,
      'Create it, or set DSTACK_MCP_WORKSPACE to the folder of your configurations',
    );
  if (readOnly.length > 0)
    return warning(
      'workspace',
      `${readOnly.join(', ')} can't be written: write_config won't work there`,
      'Make it writable, or set DSTACK_MCP_WORKSPACE to a writable folder',
    );
  return ok('workspace', shown);
}

async function checkState(stateDir: string): Promise<DoctorCheck> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await access(stateDir, constants.W_OK);
    return ok('state', stateDir);
  } catch {
    return problem(
      'state',
      `${stateDir} can't be written, so every change is refused, because it can't be recorded`,
      'Set DSTACK_MCP_STATE_DIR to a writable folder',
    );
  }
}

export interface RememberedConsents {
  readonly agreements: Pick<Agreements, 'list'>;
  readonly grants: Pick<Grants, 'list'>;
}

/** Lists what somebody agreed to send with plans, and which runs may be used. Without any, there is no check. */
export const checkRemembered = async ({ agreements, grants }: RememberedConsents): Promise<readonly DoctorCheck[]> => [
  ...(await checkAgreements(agreements)),
  ...(await checkGrants(grants)),
];

async function checkAgreements(agreements: Pick<Agreements, 'list'>): Promise<readonly DoctorCheck[]> {
  const known = await agreements.list();
  if (known.length === 0) return [];
  return [
    {
      ...ok('agreements', `plans may send what was agreed to (${plural(known.length, 'agreement')})`),
      details: `${known.map(describeAgreement).join('; ')}. To revoke one, the user deletes its file`,
    },
  ];
}

const KINDS = {
  repository: 'Git credentials for',
  'ssh-key': 'the private SSH key',
  variable: 'the value of',
  'env-file': 'the value in',
} as const satisfies Record<Agreement['kind'], string>;

const describeAgreement = ({ kind, subject, server, level, agreedAt, file }: Agreement): string =>
  `${KINDS[kind]} ${subject} to ${server} (${level}, ${agreedAt}): ${file}`;

async function checkGrants(grants: Pick<Grants, 'list'>): Promise<readonly DoctorCheck[]> {
  const known = await grants.list();
  if (known.length === 0) return [];
  return [
    {
      ...ok(
        'access',
        `${plural(known.length, 'consent')} to use a run: ${known.map(describeGrant).join('; ')}. To revoke one: exec with action "revoke" and its run`,
      ),
      details: `The user can also delete its file: ${known.map(({ file }) => file).join(', ')}`,
    },
  ];
}

const describeGrant = ({ run, project, server, until, level, ...permitted }: Grant): string =>
  `${run} in project ${project} on ${server}, ${describePermission(permitted)}, until ${formatLocalTime(new Date(until))} (${level})`;

function describePermission({ token, shown, commands }: Pick<Grant, 'token' | 'shown' | 'commands'>): string {
  const withToken = "with the user's dstack token";
  if (shown !== undefined) return `once${token === true ? `, ${withToken}` : ''}: ${shown}`;
  if (token === true) return `requests ${withToken}`;
  return commands === undefined ? 'every command and upload' : `the commands ${commands.join(', ')}`;
}

import { execa } from 'execa';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { canAccess, isFolder } from '../core/paths.ts';
import { joinWords } from '../core/format-values.ts';
import type { Settings } from '../settings/settings.ts';
import type { DoctorCheck } from './report.ts';

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
  if (!failed) return { name: 'ssh', state: 'ok', found: stderr.trim() };
  return {
    name: 'ssh',
    state: 'warning',
    found: "ssh can't be run: attach won't work",
    fix: 'Install OpenSSH (openssh-client on Debian and Ubuntu)',
  };
}

/** dstack adds runs to its own SSH configuration, which it includes in the user's. */
async function checkSshFiles(home: string): Promise<DoctorCheck> {
  const files = [path.join(home, '.ssh', 'config'), path.join(home, '.dstack', 'ssh', 'config')];
  const blockers: string[] = [];
  for (const file of files) {
    const blocker = await findBlocker(file);
    if (blocker !== undefined) blockers.push(blocker);
  }
  if (blockers.length === 0) return { name: 'ssh config', state: 'ok', found: `${files.join(' and ')} can be written` };
  return {
    name: 'ssh config',
    state: 'warning',
    found: `${blockers.join(' and ')} can't be written: attach won't work`,
    fix: `Make it writable for your user. To see its owner: ${joinWords(['ls', '-ld', ...blockers])}`,
  };
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
    return {
      name: 'workspace',
      state: 'warning',
      found: `${missing.join(', ')} doesn't exist`,
      fix: 'Create it, or set DSTACK_MCP_WORKSPACE to the folder of your configurations',
    };
  if (readOnly.length > 0)
    return {
      name: 'workspace',
      state: 'warning',
      found: `${readOnly.join(', ')} can't be written: write_config won't work there`,
      fix: 'Make it writable, or set DSTACK_MCP_WORKSPACE to a writable folder',
    };
  return { name: 'workspace', state: 'ok', found: shown };
}

async function checkState(stateDir: string): Promise<DoctorCheck> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await access(stateDir, constants.W_OK);
    return { name: 'state', state: 'ok', found: stateDir };
  } catch {
    return {
      name: 'state',
      state: 'error',
      found: `${stateDir} can't be written, so every change is refused, because it can't be recorded`,
      fix: 'Set DSTACK_MCP_STATE_DIR to a writable folder',
    };
  }
}

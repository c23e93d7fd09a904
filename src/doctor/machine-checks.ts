import { execa } from 'execa';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
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

/** dstack enters a run in its own ssh configuration, which it includes in the person's. */
async function checkSshFiles(home: string): Promise<DoctorCheck> {
  const files = [path.join(home, '.ssh', 'config'), path.join(home, '.dstack', 'ssh', 'config')];
  const denied: string[] = [];
  for (const file of files) {
    const denier = await findDenier(file);
    if (denier !== undefined) denied.push(denier);
  }
  if (denied.length === 0) return { name: 'ssh config', state: 'ok', found: `${files.join(' and ')} can be written` };
  return {
    name: 'ssh config',
    state: 'warning',
    found: `${denied.join(' and ')} can't be written: attach won't work`,
    fix: `See what it is and whose: ls -ld ${denied.join(' ')}. It has to be yours, and writable`,
  };
}

/** What stands against writing a file: itself, or the nearest thing above it that is there and has to be a folder. */
async function findDenier(file: string): Promise<string | undefined> {
  for (let at = file; ; at = path.dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found === undefined && path.dirname(at) !== at) continue;
    const isRightKind = at === file ? found?.isFile() : found?.isDirectory();
    return isRightKind === true && (await canWrite(at)) ? undefined : at;
  }
}

const canWrite = (file: string): Promise<boolean> =>
  access(file, constants.W_OK).then(
    () => true,
    () => false,
  );

async function checkWorkspace(folders: readonly string[]): Promise<DoctorCheck> {
  const missing: string[] = [];
  const readOnly: string[] = [];
  for (const folder of folders) {
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) missing.push(folder);
    else if (!(await canWrite(folder))) readOnly.push(folder);
  }
  const shown = folders.join(', ');
  if (missing.length > 0)
    return {
      name: 'workspace',
      state: 'warning',
      found: `${missing.join(', ')} doesn't exist`,
      fix: `Create it, or set DSTACK_MCP_WORKSPACE to the folder of your configurations`,
    };
  if (readOnly.length > 0)
    return {
      name: 'workspace',
      state: 'warning',
      found: `${readOnly.join(', ')} can't be written: write_config won't work there`,
      fix: 'Allow it, or set DSTACK_MCP_WORKSPACE to a folder that can be written',
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
      found: `${stateDir} can't be written, so no change can be recorded, and none is made`,
      fix: 'Set DSTACK_MCP_STATE_DIR to a folder that can be written',
    };
  }
}

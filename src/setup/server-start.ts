import { pathsOf } from './clients.ts';
import type { ServerStart } from './clients.ts';

/** The running installation of this server. */
export interface Installation {
  readonly platform: NodeJS.Platform;
  /** The path of Node. */
  readonly node: string;
  /** The path of the script. */
  readonly server: string;
}

/**
 * Describes how a client starts the running server: with npx if npx installed it (its cache may be emptied), otherwise by its path.
 * A client without the shell's PATH gets the folder of Node.
 */
export function describeStart(
  { platform, node, server }: Installation,
  { settings, barePath }: { settings: Readonly<Record<string, string>>; barePath: boolean },
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

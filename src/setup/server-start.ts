import { pathsOf } from './client-files.ts';

/** How a client starts this server. */
export interface ServerStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** This very server, as it runs. */
export interface Installation {
  readonly platform: NodeJS.Platform;
  /** The Node that runs it. */
  readonly node: string;
  /** The file that Node runs. */
  readonly server: string;
}

/**
 * Says how a client starts the server that runs now: by npx where npx brought it, whose cache may be emptied, else by its file.
 * A client with a bare PATH is told where Node is.
 */
export function describeStart(
  { platform, node, server }: Installation,
  { settings, barePath }: { settings: Readonly<Record<string, string>>; barePath: boolean },
): ServerStart {
  if (!/[/\\]_npx[/\\]/.test(server)) return { command: node, args: [server], env: { ...settings } };
  const npx = ['-y', 'dstack-mcp'];
  // Only a shell starts npx.cmd there.
  if (platform === 'win32') return { command: 'cmd', args: ['/c', 'npx', ...npx], env: { ...settings } };
  if (!barePath) return { command: 'npx', args: npx, env: { ...settings } };
  const folder = pathsOf({ platform }).dirname(node);
  const folders = [...new Set([folder, '/usr/local/bin', '/usr/bin', '/bin'])];
  return { command: `${folder}/npx`, args: npx, env: { PATH: folders.join(':'), ...settings } };
}

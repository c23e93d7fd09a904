import { execa } from 'execa';
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { serverFile } from '../../local-sandbox.ts';
import { contenderEnv } from './contenders.ts';
import { timing } from './measure.ts';
import type { Timing } from './measure.ts';

export interface StartTimes {
  readonly server: Timing;
  /** `node -e 0`, the lower bound. */
  readonly node: Timing;
  /** Another MCP server, if its script is given. */
  readonly other?: Timing;
}

/** Measures the time from process start to the `tools/list` response, with a filled code cache, in turn with the others. */
export async function measureStart(
  sandbox: Sandbox,
  folder: string,
  { rounds, other }: { readonly rounds: number; readonly other?: string },
): Promise<StartTimes> {
  const values = { server: [] as number[], node: [] as number[], other: [] as number[] };
  const timed = async (to: number[], run: () => Promise<unknown>): Promise<void> => {
    const since = performance.now();
    await run();
    to.push(performance.now() - since);
  };
  const stateDir = path.join(folder, 'start');
  // One environment for all: with more certificates (NODE_EXTRA_CA_CERTS), Node.js takes twice as long to start.
  const env = contenderEnv(sandbox, stateDir, 'on');
  for (let round = 0; round <= rounds; round += 1) {
    await timed(values.server, async () => listTools(startServer(sandbox, stateDir)));
    await timed(values.node, () => execa(process.execPath, ['-e', '0'], { env, extendEnv: false }));
    if (other !== undefined)
      await timed(values.other, async () => listTools(initialize(spawn(process.execPath, [other, folder], { env }))));
  }
  // The first round fills the code cache.
  const rest = (times: readonly number[]): Timing => timing(times.slice(1));
  return {
    server: rest(values.server),
    node: rest(values.node),
    ...(other === undefined ? {} : { other: rest(values.other) }),
  };
}

/** Asks for the tools, and ends the server in the background. */
async function listTools(server: ChildProcessWithoutNullStreams): Promise<void> {
  await ask(server, 2, 'tools/list', {});
  server.kill();
}

/** Measures a `ps` that is sent right after startup and a bare `ps`, with a filled catalog cache. */
export async function measureFirstCall(
  sandbox: Sandbox,
  folder: string,
  rounds: number,
): Promise<{ bare: Timing; first: Timing }> {
  const first: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    let since = performance.now();
    const server = startServer(sandbox, path.join(folder, 'first'));
    await ask(server, 2, 'tools/call', { name: 'ps', arguments: {} });
    first.push(performance.now() - since);
    await end(server);
    since = performance.now();
    await execa(sandbox.cli, ['ps'], { env: sandbox.env, extendEnv: false, stdin: 'ignore' });
    bare.push(performance.now() - since);
  }
  // The first round fills the catalog cache.
  return { bare: timing(bare.slice(1)), first: timing(first.slice(1)) };
}

export function startServer(sandbox: Sandbox, stateDir: string): ChildProcessWithoutNullStreams {
  return initialize(spawn(process.execPath, [serverFile], { env: contenderEnv(sandbox, stateDir, 'on') }));
}

function initialize(server: ChildProcessWithoutNullStreams): ChildProcessWithoutNullStreams {
  send(server, {
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1' } },
  });
  send(server, { method: 'notifications/initialized' });
  return server;
}

function send(server: ChildProcessWithoutNullStreams, message: Record<string, unknown>): void {
  server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

export async function ask(
  server: ChildProcessWithoutNullStreams,
  id: number,
  method: string,
  params: unknown,
): Promise<void> {
  send(server, { id, method, params });
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.includes(`"id":${id}`)) return;
  }
  throw new Error('The server exited without responding.');
}

export async function end(server: ChildProcessWithoutNullStreams): Promise<void> {
  const exited = once(server, 'exit');
  server.stdin.end();
  await exited;
}

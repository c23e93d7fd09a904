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

/** Measures the time from process start to the `tools/list` response, with a filled code cache. */
export async function measureStart(sandbox: Sandbox, folder: string, rounds: number): Promise<Timing> {
  const values: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const since = performance.now();
    const server = startServer(sandbox, path.join(folder, 'start'));
    await ask(server, 2, 'tools/list', {});
    values.push(performance.now() - since);
    await end(server);
  }
  // The first round fills the code cache.
  return timing(values.slice(1));
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

function startServer(sandbox: Sandbox, stateDir: string): ChildProcessWithoutNullStreams {
  const server = spawn(process.execPath, [serverFile], { env: contenderEnv(sandbox, stateDir, true) });
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

async function ask(server: ChildProcessWithoutNullStreams, id: number, method: string, params: unknown): Promise<void> {
  send(server, { id, method, params });
  for await (const line of createInterface({ input: server.stdout })) {
    if (line.includes(`"id":${id}`)) return;
  }
  throw new Error('The server exited without responding.');
}

async function end(server: ChildProcessWithoutNullStreams): Promise<void> {
  const exited = once(server, 'exit');
  server.stdin.end();
  await exited;
}

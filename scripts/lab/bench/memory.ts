import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { listDescendants, readProcess } from '../read-process.ts';
import { ask, end, startServer } from './start.ts';
import type { McpContender } from './contenders.ts';

/** Proportional set size (shared pages counted once) in megabytes. */
export interface Memory {
  readonly nodeMb: number;
  readonly workerMb: number;
}

/** Measures the memory of the server and its child processes, idle and after many calls. Linux only. */
export async function measureMemory(
  { call, pid }: McpContender,
  calls: number,
): Promise<{ idle: Memory; after: Memory; calls: number } | undefined> {
  if (process.platform !== 'linux') return undefined;
  const idle = await readMemory(pid);
  for (let done = 0; done < calls; done += 4) await Promise.all([1, 2, 3, 4].map(async () => call('ps')));
  return { idle, after: await readMemory(pid), calls };
}

/** Memory in megabytes of servers that nobody uses at the moment. */
export interface IdleMemory {
  /** Resident, of a server without any call. */
  readonly unusedMb: number;
  /** Proportional, of five servers and all their processes: right after a call of each, and when they are idle. */
  readonly fiveUsedMb: number;
  readonly fiveIdleMb: number;
}

const SERVERS = 5;
/** Longer than an idle server keeps its warm processes while another one is used. */
const IDLE_MS = 65_000;

/** Measures the memory of idle servers that share a state folder, as those of several windows do. Linux only. */
export async function measureIdle(sandbox: Sandbox, folder: string): Promise<IdleMemory | undefined> {
  if (process.platform !== 'linux') return undefined;
  const stateDir = path.join(folder, 'idle');
  // The first one compiles everything, and caches that for the next ones.
  const first = startServer(sandbox, stateDir);
  await ask(first, 2, 'tools/list', {});
  await end(first);
  const unused = startServer(sandbox, stateDir);
  await ask(unused, 2, 'tools/list', {});
  const { residentMb = 0 } = (await readProcess(unused.pid ?? 0)) ?? {};
  await end(unused);
  const servers = Array.from({ length: SERVERS }, () => startServer(sandbox, stateDir));
  const sum = async (): Promise<number> => {
    const pids = await Promise.all(servers.map(async ({ pid = 0 }) => [pid, ...(await listDescendants(pid))]));
    const parts = await Promise.all(pids.flat().map(readPss));
    return Math.round(parts.reduce((total, mb) => total + mb, 0));
  };
  for (const server of servers) await ask(server, 2, 'tools/call', { name: 'ps', arguments: {} });
  const fiveUsedMb = await sum();
  await delay(IDLE_MS);
  const fiveIdleMb = await sum();
  await Promise.all(servers.map(end));
  return { unusedMb: residentMb, fiveUsedMb, fiveIdleMb };
}

async function readMemory(pid: number): Promise<Memory> {
  // Children of the last commands are still exiting.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const children = await listDescendants(pid);
  const worker = await Promise.all(children.map(readPss));
  return { nodeMb: await readPss(pid), workerMb: Number(worker.reduce((sum, mb) => sum + mb, 0).toFixed(1)) };
}

async function readPss(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return Number((Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024).toFixed(1));
}

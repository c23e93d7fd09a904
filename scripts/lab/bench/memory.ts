import { readFile } from 'node:fs/promises';
import { listDescendants } from '../read-process.ts';
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

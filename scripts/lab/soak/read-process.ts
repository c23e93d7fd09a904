import { readFile, readdir } from 'node:fs/promises';

/** A snapshot of a process. */
export interface ProcessReading {
  readonly residentMb: number;
  readonly descriptors: number;
  readonly children: readonly number[];
}

/** Reads a snapshot from `/proc` (Linux). Returns `undefined` if the process has exited. */
export async function readProcess(pid: number): Promise<ProcessReading | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const descriptors = (await readdir(`/proc/${pid}/fd`)).length;
    const residentMb = Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024);
    return { residentMb, descriptors, children: await childrenOf(pid) };
  } catch {
    return undefined;
  }
}

/** Returns all descendants. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const own = text.trim() === '' ? [] : text.trim().split(' ').map(Number);
  return [...own, ...(await Promise.all(own.map(childrenOf))).flat()];
}

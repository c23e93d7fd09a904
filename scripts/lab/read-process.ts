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
    return { residentMb, descriptors, children: await listDescendants(pid) };
  } catch {
    return undefined;
  }
}

/** Returns all descendants of a process (Linux). */
export async function listDescendants(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  const children = texts.flatMap((text) => text.split(' ').filter((id) => id.trim() !== '')).map(Number);
  return [...children, ...(await Promise.all(children.map(listDescendants))).flat()];
}

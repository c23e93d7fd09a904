import { readFile, readdir } from 'node:fs/promises';

/** A living process. */
export interface Process {
  readonly pid: number;
  readonly command: string;
}

/** Returns the living processes with this home folder in their environment: a server, and everything that it started. */
export async function processesIn(home: string): Promise<readonly Process[]> {
  return processesWith((environment) => environment.split('\0').includes(`HOME=${home}`));
}

/** Returns the living processes whose environment names this folder: what uses it as its home, or for its temporary files. */
export async function processesNaming(folder: string): Promise<readonly Process[]> {
  return processesWith((environment) => environment.includes(folder));
}

async function processesWith(isMeant: (environment: string) => boolean): Promise<readonly Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => look(pid, isMeant)));
  return found.filter((one) => one !== undefined);
}

async function look(pid: number, isMeant: (environment: string) => boolean): Promise<Process | undefined> {
  // A zombie has an empty environment.
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  if (!isMeant(environment)) return undefined;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return { pid, command: command.split('\0').join(' ').trim() };
}

/** Returns the resident memory of a process. */
export async function residentBytes(pid: number): Promise<number> {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} is gone`);
  return Number(kilobytes) * 1024;
}

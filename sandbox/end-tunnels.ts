import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** Kills the SSH processes whose arguments name a file in `folder`, since dstack leaves them running in the background. */
export async function endTunnels(folder: string): Promise<void> {
  let pids = await findTunnels(folder);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  while (pids.length > 0) {
    pids = await findTunnels(folder);
    if (pids.length > 0) await delay(10);
  }
}

/** Lists the SSH processes whose arguments name a file in `folder`. */
export async function findTunnels(folder: string): Promise<number[]> {
  const inside = `${folder}${path.sep}`;
  const processes = process.platform === 'linux' ? await readProc() : await runPs();
  return processes
    .filter(({ args }) => path.basename(args.split(/[\0 ]/)[0] ?? '') === 'ssh' && args.includes(inside))
    .map(({ pid }) => pid);
}

interface RunningProcess {
  readonly pid: number;
  readonly args: string;
}

async function readProc(): Promise<RunningProcess[]> {
  const names = await readdir('/proc');
  const pids = names.filter((name) => /^\d+$/.test(name));
  return await Promise.all(
    pids.map(async (pid) => ({
      pid: Number(pid),
      args: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    })),
  );
}

async function runPs(): Promise<RunningProcess[]> {
  if (process.platform === 'win32') return [];
  const { stdout } = await execa('ps', ['-axww', '-o', 'pid=,args=']);
  return stdout.split('\n').flatMap((line) => {
    const [, pid, args] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
    return pid === undefined || args === undefined ? [] : [{ pid: Number(pid), args }];
  });
}

import type { BenchResult } from './result.ts';

/** A measured figure next to the one that is asked for. */
export interface Target {
  readonly what: string;
  readonly asked: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** Compares the result with the figures that have to hold. What wasn't measured is left out. */
export function compareTargets({ single, concurrent, start, idle }: BenchResult): Target[] {
  const targets: Target[] = [];
  const atMost = (what: string, limit: number, value: number | undefined): void => {
    if (value === undefined || Number.isNaN(value)) return;
    const measured = value < 10 ? value.toFixed(3) : value.toFixed(0);
    targets.push({ what, asked: `at most ${limit < 10 ? limit.toFixed(3) : limit}`, measured, holds: value <= limit });
  };
  const { bare, warm, spare } = single.ps ?? {};
  const many = concurrent.find(({ atOnce }) => atOnce === 8)?.totalMs;
  atMost('`ps`, forking worker / bare CLI', 1 / 20, ratio(warm?.median, bare?.median));
  atMost('`ps`, spare process / bare CLI, calls 2 s apart', 1 / 8, ratio(spare?.median, bare?.median));
  atMost('8 `ps` at once, spare processes / bare CLI', 1 / 2, ratio(many?.spare, many?.bare));
  atMost('start to `tools/list`, ms', 130, start.server.median);
  atMost('start to `tools/list` / the other server', 1, ratio(start.server.median, start.other?.median));
  atMost('server without a call, MB resident', 60, idle?.unusedMb);
  atMost('five idle servers with all processes, MB', 350, idle?.fiveIdleMb);
  return targets;
}

const ratio = (value: number | undefined, base: number | undefined): number | undefined =>
  value === undefined || base === undefined ? undefined : value / base;

import { setTimeout as delay } from 'node:timers/promises';
import { COMMANDS } from './contenders.ts';
import type { Command, Contender, Contenders } from './contenders.ts';

/** Durations in milliseconds. */
export interface Timing {
  readonly median: number;
  readonly p95: number;
}

export type Name = 'bare' | 'plain' | 'warm' | 'spare' | 'rest';

/** Returns the quantile of the values, `part` between 0 and 1. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

export const timing = (values: readonly number[]): Timing => ({
  median: Number(quantile(values, 0.5).toFixed(1)),
  p95: Number(quantile(values, 0.95).toFixed(1)),
});

const contestants = (contenders: Contenders): readonly (readonly [Name, Contender])[] => [
  ['bare', contenders.bare],
  ['plain', contenders.plain.call],
  ['warm', contenders.warm.call],
  ['spare', contenders.spare.call],
  ['rest', contenders.rest],
];

/** The time between two calls of a contender that prepares the next one. */
const PAUSE_MS = 2_000;

export type Single = Partial<Record<Command, Partial<Record<Name, Timing>>>>;

/** Measures each command on each contender, alternating, so that a slow moment of the machine affects all of them. */
export async function measureOneAtATime(
  contenders: Contenders,
  rounds: number,
  commands: readonly Command[] = COMMANDS,
): Promise<Single> {
  const result: Single = {};
  for (const command of commands) {
    const samples = new Map<Name, number[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, contender] of contestants(contenders)) {
        // The next spare is imported in the meantime, as between the calls of a conversation.
        if (name === 'spare') await delay(PAUSE_MS);
        const since = performance.now();
        const running = contender(command);
        if (running === undefined) continue;
        await running;
        samples.set(name, [...(samples.get(name) ?? []), performance.now() - since]);
      }
    }
    result[command] = Object.fromEntries([...samples].map(([name, values]) => [name, timing(values)]));
  }
  return result;
}

export interface Concurrent {
  readonly atOnce: number;
  /** Milliseconds until all calls were answered; the median of three rounds. */
  readonly totalMs: Partial<Record<Name, number>>;
}

/** Measures many concurrent `ps` calls. */
export async function measureConcurrent(contenders: Contenders, sizes: readonly number[]): Promise<Concurrent[]> {
  const results: Concurrent[] = [];
  for (const atOnce of sizes) {
    const samples = new Map<Name, number[]>();
    for (let round = 0; round < 3; round += 1) {
      for (const [name, contender] of contestants(contenders)) {
        if (name === 'spare') await delay(PAUSE_MS);
        const since = performance.now();
        await Promise.all(Array.from({ length: atOnce }, async () => contender('ps')));
        samples.set(name, [...(samples.get(name) ?? []), performance.now() - since]);
      }
    }
    results.push({
      atOnce,
      totalMs: Object.fromEntries([...samples].map(([name, values]) => [name, Math.round(quantile(values, 0.5))])),
    });
  }
  return results;
}

import type { Concurrent, Single, Timing } from './measure.ts';
import type { IdleMemory, Memory } from './memory.ts';
import type { StartTimes } from './start.ts';

/** The measurements of one run of the benchmark. */
export interface BenchResult {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number | undefined>>;
  readonly rounds: number;
  readonly single: Single;
  readonly concurrent: readonly Concurrent[];
  readonly start: StartTimes;
  readonly firstCall: { readonly bare: Timing; readonly first: Timing };
  readonly idle: IdleMemory | undefined;
  readonly memory: { readonly idle: Memory; readonly after: Memory; readonly calls: number } | undefined;
  readonly toolsListBytes: number;
}

/** The state of a pool of spare processes, as far as decisions need it. */
export interface SpareCounts {
  /** Processes that wait for a command. */
  readonly idle: number;
  /** Processes that still import dstack. */
  readonly starting: number;
  /** Commands that wait for a process. */
  readonly waiting: number;
  /** Milliseconds since a command last had to wait; infinite if none had. */
  readonly sinceBurstMs: number;
}

/** Time after a burst during which a second spare is kept. */
export const BURST_MS = 60_000;

/** Returns how many spares wait for commands: one, and two for a while after a command had to wait. */
export const sparesToKeep = ({ sinceBurstMs }: Pick<SpareCounts, 'sinceBurstMs'>): number =>
  sinceBurstMs < BURST_MS ? 2 : 1;

/** Returns how many spares to start now. Waiting commands come first: an import for later would take their processor. */
export function sparesToStart(counts: SpareCounts, maxStarting: number): number {
  const { idle, starting, waiting } = counts;
  const wanted = waiting > 0 ? waiting : sparesToKeep(counts) - idle;
  return Math.max(0, Math.min(wanted, maxStarting) - starting);
}

/** Returns how many idle spares are more than is kept. */
export const sparesToEnd = (counts: SpareCounts): number => Math.max(0, counts.idle - sparesToKeep(counts));

import type { TimePower } from './powers.ts';

/** The clock of one call: it ends within `timeoutMs`, whatever it does. */
export function createCallTime(options: {
  timeoutMs: number;
  signal: AbortSignal;
  progress: ((message: string) => void) | undefined;
}): TimePower {
  const endsAt = performance.now() + options.timeoutMs;
  return {
    remainingMs: () => Math.max(0, endsAt - performance.now()),
    signal: options.signal,
    progress: (message) => options.progress?.(message),
  };
}

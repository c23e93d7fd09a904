import type { RunFacts } from '../output/read-run.ts';

/** A message in a job's log whose cause is well known. */
interface LogSign {
  readonly pattern: RegExp;
  /** Returns what usually helps, from what the run asked for and ran on. Never repeats the log's own words: they are untrusted. */
  readonly helps: (run: RunFacts) => string;
}

const machine = ({ gpu, hardware }: RunFacts): string => [gpu, hardware].filter(Boolean).join(', ') || 'its instance';

const SIGNS: readonly LogSign[] = [
  {
    pattern: /CUDA out of memory|OutOfMemoryError: CUDA|CUDA error: out of memory|HIP out of memory/i,
    helps: (run) =>
      `The GPU's memory was too small: it ran on ${machine(run)}. Ask for more GPU memory in \`resources.gpu\` (offer shows prices), or use a smaller batch or model.`,
  },
  {
    pattern: /No space left on device/i,
    helps: (run) => `The disk was full: it ran on ${machine(run)}. Ask for more with \`resources.disk\`.`,
  },
  {
    pattern: /DataLoader worker .{0,80}bus error|insufficient shared memory|shm_open/i,
    helps: () => 'The shared memory was too small: set `resources.shm_size`, for example 16GB.',
  },
  {
    pattern: /ModuleNotFoundError: |ImportError: /,
    helps: () =>
      'A Python package is missing: install it in `commands` before it is used, or use an `image` that has it.',
  },
  {
    pattern: /CUDA driver version is insufficient|forward compatibility was attempted|no kernel image is available/i,
    helps: (run) =>
      `The image's CUDA doesn't fit the GPU or its driver: it ran on ${machine(run)}. Use another \`image\` or GPU.`,
  },
  {
    pattern: /\b401 Client Error|GatedRepoError|Access to model .{0,200} is restricted|Invalid user token/i,
    helps: () => 'A token is missing or has no access: name its variable in `env` (for example HF_TOKEN).',
  },
  {
    pattern: /can't open file '|No such file or directory/i,
    helps: () =>
      'A file is missing on the machine: list it in `files`, or name its repository in `repos`, and check `working_dir`.',
  },
];

/** Returns what usually helps against the last well-known message in a log; undefined if there is none. */
export function explainLog(log: string, run: RunFacts): string | undefined {
  const found = SIGNS.map(({ pattern, helps }) => ({ helps, at: lastMatch(log, pattern) })).filter(({ at }) => at >= 0);
  return found.toSorted((a, b) => b.at - a.at)[0]?.helps(run);
}

function lastMatch(log: string, pattern: RegExp): number {
  const lines = log.split('\n');
  return lines.findLastIndex((line) => pattern.test(line));
}

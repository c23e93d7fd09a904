import { defineConfig } from 'vitest/config';
import { LongFilesFirst } from './test/support/long-files-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    setupFiles: ['test/support/stop-left-runs.ts'],
    // Real processes on a machine with few cores: a limit against hangs, not an assertion about speed.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // Most of a test's time is spent waiting for a real server: more of them than there are cores.
    maxWorkers: 4,
    sequence: { sequencer: LongFilesFirst },
    restoreMocks: true,
    // Hundreds of real processes on two cores: one that comes late must not hold up a change. What fails thrice is broken.
    retry: process.env['CI'] === undefined ? 0 : 2,
    reporters: ['default'],
    // A failure that comes once in many runs has to be understood from its message: what an array or object held is in it.
    chaiConfig: { truncateThreshold: 1_000 },
  },
});

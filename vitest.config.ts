import { defineConfig } from 'vitest/config';
import { LongFilesFirst } from './test/support/long-files-first.ts';

// The tiers, from the quickest to the slowest: docs/testing.md says what belongs in which.
const sandboxed = {
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: ['test/support/stop-left-runs.ts'],
} as const;

// For real processes on a machine with few cores: a limit against hangs, not an assertion about speed.
const TIMEOUT_MS = 240_000;

const patient = { testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS };

export default defineConfig({
  test: {
    pool: 'forks',
    restoreMocks: true,
    // A failure that occurs once in many runs has to be understood from its message: print what arrays and objects held.
    chaiConfig: { truncateThreshold: 1_000 },
    sequence: { sequencer: LongFilesFirst },
    // Real processes spend most of a test waiting: run more of them than there are cores.
    maxWorkers: 4,
    // Hundreds of real processes on two cores: one that is late must not block a change. A test that fails three times is broken.
    retry: process.env['CI'] === undefined ? 0 : 2,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { extends: true, test: { ...patient, name: 'dstack', include: ['test/dstack/**/*.test.ts'] } },
      { extends: true, test: { ...patient, ...sandboxed, name: 'e2e', include: ['test/e2e/**/*.test.ts'] } },
      { extends: true, test: { ...patient, ...sandboxed, name: 'ui', include: ['test/ui/**/*.test.ts'] } },
      { extends: true, test: { ...patient, ...sandboxed, name: 'nightly', include: ['test/nightly/**/*.test.ts'] } },
    ],
  },
});

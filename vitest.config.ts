import { defineConfig } from 'vitest/config';
import { keepsThread } from './test/support/kept-thread.ts';
import { LongFilesFirst } from './test/support/long-files-first.ts';

// One project for each tier. docs/testing.md says what belongs in which.

// A limit against hangs, not an assertion about speed: a busy machine must not fail a test.
const UNIT_TIMEOUT_MS = 30_000;
const PROCESS_TIMEOUT_MS = 240_000;

const removesFolders = 'test/support/remove-temporary-folders.ts';

/** For tests that start real processes. */
const processes = {
  // As in `unit`: what a test shares with others is outside of its process anyway.
  isolate: false,
  setupFiles: [removesFolders],
  testTimeout: PROCESS_TIMEOUT_MS,
  hookTimeout: PROCESS_TIMEOUT_MS,
  // Hundreds of processes share two cores in CI: one that is late must not block a change. A test that fails three times is broken.
  retry: process.env['CI'] === undefined ? 0 : 2,
  // Real processes spend most of a test waiting: run more of them than there are cores.
  maxWorkers: 5,
  // After the unit tests: vitest requires it where the number of workers differs, and a failed unit test shows first.
  sequence: { groupOrder: 1 },
};

/** For tests that share the sandbox. */
const sandboxed = {
  ...processes,
  globalSetup: ['test/support/global-setup.ts'],
  setupFiles: [removesFolders, 'test/support/stop-left-runs.ts'],
};

/** Tests that start nothing. Their files share a process and its modules, since loading them would take half of the time. */
const unit = {
  setupFiles: ['test/support/start-nothing.ts', removesFolders],
  testTimeout: UNIT_TIMEOUT_MS,
  isolate: false,
  // Some tests wait for the end of a call: run more of them than there are cores.
  maxWorkers: 4,
};

// Stryker runs all projects, so give its workers only the tests of the code that it mutates.
const isMutationRun = process.env['STRYKER_MUTATOR_WORKER'] !== undefined;
const mutation = {
  ...unit,
  setupFiles: ['test/support/no-mutant.ts', ...unit.setupFiles],
  // Many mutants make a test wait forever.
  testTimeout: 15_000,
  maxWorkers: 1,
  include: [
    'test/unit/safety/**/*.test.ts',
    'test/unit/dstack/argv/*.test.ts',
    'test/unit/configuration/*hand-over*.test.ts',
    'test/unit/configuration/env-files.test.ts',
    'test/unit/changes/{access,plan-agreement,run-access,policy}.test.ts',
    'test/unit/remote/exec-service.test.ts',
  ],
};

export default defineConfig({
  test: {
    pool: 'forks',
    // Transforming the sources again for each run takes longer than most of the unit tests.
    experimental: { fsModuleCache: true },
    restoreMocks: true,
    sequence: { sequencer: LongFilesFirst },
    // A failure that occurs once in many runs has to be explained by its message: print what arrays and objects contain.
    chaiConfig: { truncateThreshold: 1_000 },
    projects: isMutationRun
      ? [{ extends: true, plugins: [keepsThread], test: { ...mutation, name: 'mutation' } }]
      : [
          { extends: true, test: { ...unit, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
          { extends: true, test: { ...processes, name: 'dstack', include: ['test/dstack/**/*.test.ts'] } },
          { extends: true, test: { ...sandboxed, name: 'e2e', include: ['test/e2e/**/*.test.ts'] } },
          { extends: true, test: { ...sandboxed, name: 'ui', include: ['test/ui/**/*.test.ts'] } },
          {
            extends: true,
            test: {
              ...sandboxed,
              name: 'nightly',
              isolate: true,
              // With the tests of other tiers that try more values here (test/support/effort.ts).
              include: ['test/{nightly,unit,dstack}/**/*.test.ts'],
              env: { DSTACK_TEST_EFFORT: 'nightly' },
              setupFiles: [...sandboxed.setupFiles, 'test/support/nightly-effort.ts'],
            },
          },
        ],
    coverage: {
      provider: 'v8',
      // The folders where a mistake costs money or data.
      include: ['src/{changes,dstack,render,safety}/**/*.ts'],
      reporter: [['text', { skipFull: true }], 'text-summary'],
      thresholds: {
        'src/changes/**': { branches: 90 },
        'src/dstack/**': { branches: 90 },
        'src/render/**': { branches: 90 },
        'src/safety/**': { branches: 90 },
      },
    },
  },
});

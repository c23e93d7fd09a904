import { defineConfig } from 'vitest/config';

// What the mutation tests run: tests of the safety layer and of the argv check alone, which need no sandbox.
export default defineConfig({
  test: {
    include: ['test/safety/**/*.test.ts', 'test/cli/check-argv*.test.ts', 'test/faults/clock-faults.test.ts'],
    // Opens real dialogs, for seconds each: what it tests is left out of the mutants as well (stryker.config.json).
    exclude: ['test/safety/dialog.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
    restoreMocks: true,
  },
});

import { defineConfig } from 'vitest/config';

// The tests that npm run lab -- mutation runs for each mutant: only fast ones, without processes.
export default defineConfig({
  test: {
    include: ['test/unit/safety/**/*.test.ts', 'test/unit/dstack/argv/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    restoreMocks: true,
    setupFiles: ['test/support/remove-temporary-folders.ts'],
    testTimeout: 60_000,
  },
});

import { defineConfig } from 'vitest/config';

// How much of the parts where a mistake costs the most is run by their own tests, which need no sandbox.
export default defineConfig({
  test: {
    include: ['test/{cli,fuzz,output,safety}/**/*.test.ts'],
    // They compare with the real dstack, for minutes, and run no branch that the others don't.
    exclude: ['test/cli/{argv-and-dstack,plain-runner-with-dstack,warm-equality,yaml-loaders}.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    restoreMocks: true,
    coverage: {
      provider: 'v8',
      include: ['src/{cli,output,safety}/**/*.ts'],
      reporter: [['text', { skipFull: true }], 'text-summary'],
      thresholds: {
        'src/cli/**': { branches: 90 },
        'src/output/**': { branches: 90 },
        'src/safety/**': { branches: 90 },
      },
    },
  },
});

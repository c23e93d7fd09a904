import { defineConfig } from 'vitest/config';

// What has to hold on every system, and needs neither the sandbox nor a Unix: CI runs it on macOS and Windows.
export default defineConfig({
  test: {
    include: [
      'test/cli/check-argv.test.ts',
      'test/config/advise.test.ts',
      'test/output/*.test.ts',
      'test/safety/{path-text,redact,token}.test.ts',
      'test/setup/{client-files,editors,server-start}.test.ts',
    ],
    restoreMocks: true,
  },
});

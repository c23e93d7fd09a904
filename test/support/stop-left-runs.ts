import { afterAll } from 'vitest';
import { usedNames } from './used-names.ts';

// After each file, regardless of its tests: a remaining run occupies a machine that other files wait for. An apply that a test
// interrupted may have submitted its run after the test.
afterAll(async () => {
  if (usedNames.length === 0) return;
  // Loaded only here, because most files need no server.
  const { stopRuns } = await import('./ask-server.ts');
  await stopRuns(...usedNames);
});

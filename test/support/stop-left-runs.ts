import { afterAll } from 'vitest';
import { usedNames } from './used-names.ts';

// At the end of each file, whatever its tests did: a run that is left holds a machine that other files wait for. An apply that a test
// cut off may have submitted its run after the test was over.
afterAll(async () => {
  if (usedNames.length === 0) return;
  // Loaded only here: most files need no server.
  const { stopRuns } = await import('./ask-server.ts');
  await stopRuns(...usedNames);
});

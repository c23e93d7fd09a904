import { afterAll } from 'vitest';
import { stopRuns } from './ask-server.ts';
import { usedNames } from './test-home.ts';

// At the end of each file, whatever its tests did: a run that is left holds a machine that other files wait for. An apply that a test
// cut off may have submitted its run after the test was over.
afterAll(async () => {
  if (usedNames.length > 0) await stopRuns(...usedNames);
});

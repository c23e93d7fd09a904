import { isBuildCurrent } from '../../scripts/build-stamp.mjs';
import { buildAll } from '../../scripts/build.mjs';

/** Builds dist/ unless it was built from the current sources: a test must not pass on old code. */
export async function buildIfStale(): Promise<void> {
  if (isBuildCurrent()) return;
  process.stderr.write('dist/ is older than its sources: building it before the tests.\n');
  await buildAll();
}

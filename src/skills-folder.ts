import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder with the skills for agents: beside the bundle in a package, beside src/ in the source tree. */
export function skillsFolder(): string {
  const besideBundle = fileURLToPath(new URL('./skills/', import.meta.url));
  return existsSync(besideBundle) ? besideBundle : fileURLToPath(new URL('../skills/', import.meta.url));
}

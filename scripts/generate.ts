import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { renderGeneratedFiles } from './docs/generated-files.ts';

// Brings docs/tools.md, and the generated parts of README.md and manifest.json, in step with the code.
const root = path.resolve(import.meta.dirname, '..');
for (const { file, text } of await renderGeneratedFiles(root)) {
  await writeFile(path.join(root, file), text);
  console.log(`wrote ${file}`);
}

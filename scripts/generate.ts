import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { policyJsonSchema } from '../src/safety/policy/policy.ts';
import { renderGeneratedFiles } from './docs/generated-files.ts';

// Writes every generated page, and the schema of the policy file for editors. Unit tests fail if any of them is out of date.
const root = path.resolve(import.meta.dirname, '..');
const schema = { file: 'docs/policy.schema.json', text: `${JSON.stringify(policyJsonSchema(), null, 2)}\n` };
for (const { file, text } of [...(await renderGeneratedFiles(root)), schema]) {
  await writeFile(path.join(root, file), text);
  console.log(`wrote ${file}`);
}

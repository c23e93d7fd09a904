import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeTool } from './docs/describe-tool.ts';
import { tools } from '../tools/index.ts';
import { policyJsonSchema } from '../src/safety/policy/policy.ts';
import { renderGeneratedFiles } from './docs/generated-files.ts';

// Writes every generated page, and the schema of the policy file for editors. Unit tests fail if any of them is out of date.
const root = path.resolve(import.meta.dirname, '..');
const toJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const schema = { file: 'docs/policy.schema.json', text: toJson(policyJsonSchema()) };
const list = { file: 'src/mcp/tool-list.json', text: toJson(tools.map(describeTool)) };
for (const { file, text } of [...(await renderGeneratedFiles(root)), schema, list]) {
  await writeFile(path.join(root, file), text);
  console.log(`wrote ${file}`);
}

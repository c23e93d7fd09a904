import type { Format } from './clients.ts';
import type { ConfigEditor } from './config-editor.ts';
import { createJsonEditor } from './json-editor.ts';
import { tomlEditor } from './toml-editor.ts';
import { yamlEditor } from './yaml-editor.ts';

/** What edits each way of writing. */
export const EDITORS: Readonly<Record<Format, ConfigEditor>> = {
  json: createJsonEditor({ comments: false }),
  jsonc: createJsonEditor({ comments: true }),
  yaml: yamlEditor,
  toml: tomlEditor,
};

import * as z from 'zod';
import { configurationFile, extraFlags, project } from '../src/core/fields.ts';
import { changeFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const plan = defineTool({
  name: 'plan',
  title: 'Plan a configuration',
  description:
    'Show what applying a dstack configuration would do, before anything is done: create, update or replace, the offers with prices, and what blocks it. Works for tasks, dev environments, services, fleets, volumes and gateways. Gives the token that apply needs. Use it to "run", "train", "deploy" or "launch" something.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({ file: configurationFile, project, flags: extraFlags }),
  facts: changeFacts,
  run: (input, { changes }) =>
    changes.preview({ tool: 'apply', file: input.file, project: input.project, extraFlags: input.flags }),
});

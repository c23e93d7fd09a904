import * as z from 'zod';
import { configurationFile, extraFlags, project } from '../src/core/fields.ts';
import { changeFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const plan = defineTool({
  name: 'plan',
  title: 'Plan a configuration',
  description:
    'Run, train, deploy or launch something: the first step. Shows what applying a dstack configuration would do, without doing it: create, update or replace, offers with prices, and what blocks it. For tasks, dev environments, services, fleets, volumes and gateways. Returns the confirmation token required by apply.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({ file: configurationFile, project, flags: extraFlags }),
  facts: changeFacts,
  run: (input, { changes }) =>
    changes.preview({ tool: 'apply', file: input.file, project: input.project, extraFlags: input.flags }),
});

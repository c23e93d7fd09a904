import * as z from 'zod';
import { project, resourceName } from '../src/core/fields.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const stop = defineTool({
  name: 'stop',
  title: 'Preview stopping a run',
  description:
    'Stop, cancel, kill or terminate a run or job: previews it and returns the token for apply. `abort` skips the graceful shutdown.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({ run: resourceName, abort: z.boolean().optional(), project }),
  facts: removalFacts,
  run: ({ run, abort = false, project: of }, { changes }) => changes.preview({ tool: 'stop', run, abort, project: of }),
});

import * as z from 'zod';
import { project, resourceNames } from '../src/core/fields.ts';
import { refuse } from '../src/core/report.ts';
import { removalFacts } from '../src/changes/change-facts.ts';
import { defineTool } from '../src/tool/tool.ts';

export const stop = defineTool({
  name: 'stop',
  title: 'Preview a stop',
  description:
    'Stop, cancel, kill or terminate runs or jobs: previews it and returns one token for apply. `abort` skips the graceful shutdown.',
  effect: 'read',
  card: 'change',
  input: z.strictObject({ run: resourceNames, abort: z.boolean().optional(), project }),
  facts: removalFacts,
  async run({ run: names, abort = false, project: of }, { changes }) {
    const [run = '', ...others] = new Set(names);
    if (others.length === 0) return changes.preview({ tool: 'stop', run, abort, project: of });
    if (abort) refuse('`abort` takes one run: each is approved by its typed name.', 'Abort them one by one.');
    return changes.preview({ tool: 'stop', runs: [run, ...others], project: of });
  },
});

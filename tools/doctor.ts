import * as z from 'zod';
import { defineTool } from '../src/tool/tool.ts';

export const doctor = defineTool({
  name: 'doctor',
  title: 'Check the set-up',
  description:
    'Check that everything works: the dstack executable and version, the server and project, ssh, the workspace, the policy, what the client can do. Each finding comes with its mend. Use it when a call fails for no clear reason.',
  effect: 'read',
  input: z.strictObject({}),
  facts: z.object({
    healthy: z.boolean(),
    checks: z.array(
      z.object({
        name: z.string(),
        state: z.enum(['ok', 'warning', 'error']),
        found: z.string(),
        fix: z.string().optional(),
      }),
    ),
    counters: z.record(z.string(), z.unknown()),
  }),
  async run(_input, { doctor: examine }) {
    const { checks, counters } = await examine();
    const wrong = checks.filter((check) => check.state === 'error');
    const marks = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' } as const;
    const lines = checks.map(
      (check) =>
        `${marks[check.state]}  ${check.name}: ${check.found}${check.fix === undefined ? '' : `\n         fix: ${check.fix}`}`,
    );
    return {
      outcome: 'done',
      summary: [
        wrong.length === 0 ? 'Everything that is needed works.' : `${wrong.length} problem(s) found.`,
        '',
        ...lines,
      ].join('\n'),
      printed: [],
      facts: { healthy: wrong.length === 0, checks: [...checks], ...(counters === undefined ? {} : { counters }) },
      ...(wrong[0]?.fix === undefined ? {} : { next: wrong[0].fix }),
    };
  },
});

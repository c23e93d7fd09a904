import * as z from 'zod';
import { plural } from '../src/core/values.ts';
import { defineTool } from '../src/tool/tool.ts';

export const doctor = defineTool({
  name: 'doctor',
  title: 'Check the setup',
  description:
    'Check that dstack is set up correctly: executable, version, server, project, ssh, workspace and policy. Use it when a call fails for no clear reason.',
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
        details: z.string().optional(),
      }),
    ),
    counters: z.record(z.string(), z.unknown()),
  }),
  async run(_input, { doctor: checkSetup }) {
    const { checks, counters } = await checkSetup();
    const errors = checks.filter(({ state }) => state === 'error');
    const warnings = checks.filter(({ state }) => state === 'warning');
    const marks = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' } as const;
    const indent = ' '.repeat(9);
    const lines = checks.flatMap(({ name, state, found, fix, details }) => [
      `${marks[state]}  ${name}: ${found}`,
      ...(details === undefined ? [] : [`${indent}${details}`]),
      ...(fix === undefined ? [] : [`${indent}fix: ${fix}`]),
    ]);
    return {
      outcome: 'done',
      summary: errors.length > 0 ? `${plural(errors.length, 'problem')} found.` : summaryOf(warnings.length),
      details: ['', ...lines],
      printed: [],
      facts: { healthy: errors.length === 0, checks: [...checks], counters },
      next: [...errors, ...warnings].find(({ fix }) => fix !== undefined)?.fix,
    };
  },
});

const summaryOf = (warnings: number): string =>
  warnings === 0 ? 'Everything works.' : `No problems, ${plural(warnings, 'warning')}.`;

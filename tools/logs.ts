import * as z from 'zod';
import { project, resourceName } from '../src/core/fields.ts';
import { adviseOnLog, describeLog } from '../src/dstack/output/describe-log.ts';
import { describeLogPage } from '../src/dstack/output/page-log.ts';
import { WHOLE_CHARS } from '../src/core/report.ts';
import type { ToolContext } from '../src/tool/tool-context.ts';
import { defineTool } from '../src/tool/tool.ts';

/** A page fits into a result of 8 KB, unless a number of lines was asked for. */
const PAGE_BYTES = 6_000;
const ASKED_PAGE_BYTES = 20_000;

const input = z.strictObject({
  run: resourceName,
  lines: z.int().min(1).max(2000).optional(),
  since: z.string().max(40).optional().describe('10s, 5m, 1d or RFC 3339'),
  replica: z.int().min(0).optional(),
  job: z.int().min(0).optional(),
  diagnose: z.boolean().optional().describe('Why a job failed to start'),
  filter: z.string().min(1).max(200).optional(),
  context: z.int().min(0).max(20).optional(),
  cursor: z.string().max(400).optional().describe('`older` or `newer` of another page'),
  project,
});
type Input = z.output<typeof input>;

export const logs = defineTool({
  name: 'logs',
  title: 'Read logs',
  description:
    'Read the logs (output) of a run or job: the last lines by default, pages by cursor, lines containing a text, or why it failed (diagnose).',
  effect: 'read',
  input,
  facts: z.object({
    firstLine: z.number(),
    lastLine: z.number(),
    totalLines: z.number(),
    totalBytes: z.number(),
    matches: z.number(),
    older: z.string().describe('Cursor of the previous page'),
    newer: z.string().describe('Cursor of the next page'),
  }),
  async run(request, { dstack, runs }) {
    const { transcript, page, isWhole } = await readPage(request, dstack);
    // Afterwards, so that a refused request runs nothing.
    const run = await runs.look({ name: request.run, project: request.project });
    return {
      outcome: 'done',
      summary: describeLogPage(page),
      details: describeLog({ run, isWhole, isEmpty: page.total.lines === 0 }),
      printed: [
        {
          transcript: { ...transcript, stdout: page.text, omittedBytes: 0 },
          untrusted: true,
          keep: 'end',
          maxChars: WHOLE_CHARS,
        },
      ],
      facts: {
        ...(page.shown === undefined ? {} : { firstLine: page.shown.first, lastLine: page.shown.last }),
        totalLines: page.total.lines,
        totalBytes: page.total.bytes,
        ...(page.matches === undefined ? {} : { matches: page.matches }),
        ...(page.older === undefined ? {} : { older: page.older }),
        ...(page.newer === undefined ? {} : { newer: page.newer }),
      },
      ...(page.shown === undefined ? { next: adviseOnLog(run, request) } : {}),
    };
  },
});

function readPage(request: Input, dstack: ToolContext['dstack']) {
  return dstack.readLog(
    {
      command: 'logs',
      flags: {
        '--diagnose': request.diagnose,
        '--since': request.since,
        '--replica': request.replica,
        '--job': request.job,
        '--project': request.project,
      },
      positionals: [request.run],
    },
    {
      lines: request.lines ?? 200,
      maxBytes: request.lines === undefined ? PAGE_BYTES : ASKED_PAGE_BYTES,
      logKey: JSON.stringify([
        request.run,
        request.project,
        request.replica,
        request.job,
        request.since,
        request.diagnose,
      ]),
      ...(request.cursor === undefined ? {} : { cursor: request.cursor }),
      ...(request.filter === undefined
        ? {}
        : { filter: { text: request.filter, ignoreCase: true, contextLines: request.context ?? 2 } }),
    },
  );
}

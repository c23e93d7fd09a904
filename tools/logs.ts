import * as z from 'zod';
import { jobChoice, project, runNames } from '../src/core/fields.ts';
import { chooseJob } from '../src/dstack/output/read-state.ts';
import type { WantedJob } from '../src/dstack/output/read-state.ts';
import { adviseOnLog, describeLog } from '../src/dstack/describe/describe-facts.ts';
import { checkCursor, describeLogPage } from '../src/dstack/output/page-log.ts';
import { refuse, reportSeveral, WHOLE_CHARS } from '../src/core/report.ts';
import type { Report } from '../src/core/report.ts';
import type { ToolContext } from '../src/tool/tool-context.ts';
import { defineTool } from '../src/tool/tool.ts';

/** A page fits into a result of 8 KB, unless a number of lines was asked for. */
const PAGE_BYTES = 6_000;
const ASKED_PAGE_BYTES = 20_000;

const input = z.strictObject({
  run: runNames,
  lines: z.int().min(1).max(2000).optional(),
  since: z.string('a duration or a time, for example "5m"').max(40).optional().describe('10s, 5m, 1d or RFC 3339'),
  ...jobChoice,
  diagnose: z.boolean().optional(),
  filter: z.string().min(1).max(200).optional(),
  context: z.int().min(0).max(20).optional(),
  cursor: z.string().max(400).optional().describe('`older` or `newer` of another page'),
  project,
});
/** One run's log. */
type Input = Omit<z.output<typeof input>, 'run'> & { readonly run: string };

const facts = z.object({
  replica: z.number(),
  job: z.number(),
  firstLine: z.number(),
  lastLine: z.number(),
  totalLines: z.number(),
  totalBytes: z.number(),
  matches: z.number(),
  older: z.string().describe('Cursor of the previous page'),
  newer: z.string().describe('Cursor of the next page'),
});

export const logs = defineTool({
  name: 'logs',
  title: 'Read logs',
  description:
    'Read the logs (output) of a run or job: the last lines by default, lines containing a text, or why it failed (diagnose).',
  effect: 'read',
  input,
  facts,
  async run({ run: names, ...request }, context) {
    const [run = '', ...others] = new Set(names);
    if (others.length === 0) return readLog({ ...request, run }, context);
    if (request.cursor !== undefined) refuse('A cursor belongs to the log of one run.', 'Pass that `run` alone.');
    const mostChars = request.lines === undefined ? PAGE_BYTES : ASKED_PAGE_BYTES;
    return reportSeveral([run, ...others], mostChars, (name) => readLog({ ...request, run: name }, context));
  },
});

async function readLog(
  request: Input,
  { dstack, runs }: Pick<ToolContext, 'dstack' | 'runs'>,
): Promise<Report<z.output<typeof facts>>> {
  // Before the run is looked up, so that a refused request runs nothing.
  await dstack.check(commandOf(request, request));
  checkCursor(request.cursor);
  const run = await runs.look({ name: request.run, project: request.project });
  const shown = run === undefined ? undefined : chooseJob(run.name, run.jobs, request);
  const { transcript, page, isWhole } = await readPage(
    request,
    (run?.jobs.length ?? 0) > 1 ? (shown ?? request) : request,
    dstack,
  );
  return {
    outcome: 'done',
    summary: describeLogPage(page),
    details: describeLog({ run, shown, isWhole, isEmpty: page.total.lines === 0 }),
    printed: [
      {
        transcript: { ...transcript, stdout: page.text, omittedBytes: 0 },
        untrusted: true,
        keep: 'end',
        maxChars: WHOLE_CHARS,
      },
    ],
    facts: {
      replica: shown?.replica,
      job: shown?.job,
      firstLine: page.shown?.first,
      lastLine: page.shown?.last,
      totalLines: page.total.lines,
      totalBytes: page.total.bytes,
      matches: page.matches,
      older: page.older,
      newer: page.newer,
    },
    next: page.shown === undefined ? adviseOnLog(run, request) : undefined,
  };
}

const commandOf = ({ run, project: of, since, diagnose }: Input, { replica, job }: WantedJob) => ({
  command: 'logs',
  flags: { '--diagnose': diagnose, '--since': since, '--replica': replica, '--job': job, '--project': of },
  positionals: [run],
});

function readPage(request: Input, { replica, job }: WantedJob, dstack: ToolContext['dstack']) {
  const { run, project: of, since, diagnose, cursor, filter } = request;
  return dstack.readLog(commandOf(request, { replica, job }), {
    lines: request.lines ?? 200,
    maxBytes: request.lines === undefined ? PAGE_BYTES : ASKED_PAGE_BYTES,
    logKey: JSON.stringify([run, of, replica ?? 0, job ?? 0, since, diagnose]),
    ...(cursor === undefined ? {} : { cursor }),
    ...(filter === undefined ? {} : { filter: { text: filter, ignoreCase: true, contextLines: request.context ?? 2 } }),
  });
}

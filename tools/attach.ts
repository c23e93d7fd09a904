import * as z from 'zod';
import { jobChoice, project, resourceName } from '../src/core/fields.ts';
import { formatDuration } from '../src/core/values.ts';
import type { RunFacts } from '../src/dstack/output/read-state.ts';
import type { Attachment } from '../src/attachments/attachment-view.ts';
import type { AttachStop } from '../src/attachments/stop-attachment.ts';
import { refuse } from '../src/core/report.ts';
import type { Report } from '../src/core/report.ts';
import { defineTool } from '../src/tool/tool.ts';
import { ownTranscript } from '../src/core/transcript.ts';

const attachmentFacts = z.object({
  id: z.string(),
  run: z.string(),
  state: z.enum(['waiting', 'attached', 'ended', 'failed']),
  sshCommand: z.string().optional(),
  ports: z.array(z.object({ localPort: z.number(), remotePort: z.number() })).optional(),
  ideLink: z.string().optional().describe('Show it; never open it'),
  problem: z.string().optional(),
  outputFile: z.string(),
});

const facts = z.object({ attachments: z.array(attachmentFacts) });

type Facts = z.output<typeof facts>;

const PORTS = 'LOCAL:REMOTE, for example "18080:8080"';

export const attach = defineTool({
  name: 'attach',
  title: 'Attach to a run',
  description:
    'Connect to a run: SSH into the machine, forward its ports to localhost (Jupyter notebook, web UI), open it in VS Code (vscode) or Cursor. Also lists and stops attachments, not runs.',
  effect: 'change',
  input: z.strictObject({
    action: z.enum(['start', 'status', 'stop', 'list']).optional(),
    run: z.string().max(200).optional().describe('Or id of the attachment'),
    ...jobChoice,
    ports: z
      .array(z.string(PORTS).regex(/^\d{1,5}(:\d{1,5})?$/, PORTS))
      .max(50)
      .optional(),
    project,
  }),
  facts,
  async run(input, { attachments }) {
    const action = input.action ?? 'start';
    if (action === 'list') return report(await attachments.list(), 'attachment');
    if (input.run === undefined)
      refuse(
        `Set \`run\` to ${action} an attachment.`,
        'ps lists the runs; attach with action "list" lists the attachments.',
      );
    switch (action) {
      case 'start': {
        const run = resourceName.safeParse(input.run);
        if (!run.success) refuse(`${JSON.stringify(input.run)} isn't a valid run name.`, 'ps lists the runs.');
        const { attachment, run: attachedTo } = await attachments.start({
          run: run.data,
          project: input.project,
          replica: input.replica,
          job: input.job,
          ports: input.ports,
        });
        return report([attachment], 'attachment', describeInactivity(attachedTo));
      }
      case 'status':
        return report(await attachments.status(input.run), `attachment of ${input.run}`);
      case 'stop': {
        return reportStop(await attachments.stop(input.run), input.run);
      }
      default:
        return action satisfies never;
    }
  },
});

/** Reports what was stopped: detached is only what has really ended. */
export function reportStop(stopped: readonly AttachStop[], run: string): Report<Facts> {
  const left = stopped.filter(({ ended }) => ended.stillAlive.length > 0);
  const detached = stopped.filter((one) => !left.includes(one)).map(({ attachment }) => attachment);
  const sentences = [
    ...(stopped.length === 0 ? [`There is no attachment of ${run}.`] : []),
    ...(detached.length === 0
      ? []
      : [`Detached from ${detached.map(({ id }) => id).join(', ')}. The run continues, and so does its cost.`]),
    ...left.map(
      ({ attachment, ended }) =>
        `Could not detach from ${attachment.id}: it is still running (process ${ended.stillAlive.join(', ')}).`,
    ),
  ];
  return {
    outcome: left.length > 0 ? 'failed' : stopped.length === 0 ? 'nothing-to-do' : 'done',
    summary: sentences.join(' '),
    printed: [],
    facts: {
      attachments: [
        ...detached.map((attachment) => toFacts({ ...attachment, state: { kind: 'ended', how: 'detached' } })),
        ...left.map(({ attachment }) => toFacts(attachment)),
      ],
    },
    next: left.length === 0 ? undefined : 'Call attach with action "stop" again, or ask the user to end the processes.',
  };
}

function report(attachments: readonly Attachment[], what: string, notes: readonly string[] = []): Report<Facts> {
  if (attachments.length === 0) {
    return {
      outcome: 'done',
      summary: `No ${what}.`,
      printed: [],
      facts: { attachments: [] },
      next: 'attach with `run` creates one.',
    };
  }
  const failed = attachments.length === 1 && attachments[0]?.state.kind === 'failed';
  const [summary = '', ...others] = attachments.map(describe);
  const next = attachments.map(nextStep).find((step) => step !== undefined);
  return {
    outcome: failed ? 'failed' : 'done',
    summary,
    details: [...others, ...attachments.flatMap(describeConnection), ...notes],
    // The details have what dstack prints about an attachment that works.
    printed: attachments
      .filter(({ state, jobOutput }) => state.kind !== 'attached' || (notes.length === 0 && jobOutput !== ''))
      .slice(0, 5)
      .map((attachment) => ({
        transcript: ownTranscript(
          attachment.command,
          [attachment.dstackOutput, attachment.jobOutput].filter((text) => text !== '').join('\n'),
        ),
        untrusted: true,
        keep: 'start',
        maxChars: 3_000,
      })),
    facts: { attachments: attachments.map(toFacts) },
    next,
  };
}

function toFacts({ id, run, state, outputFile }: Attachment): Facts['attachments'][number] {
  const connection = state.kind === 'attached' ? state.connection : undefined;
  return {
    id,
    run,
    state: state.kind,
    sshCommand: connection?.sshCommand,
    ports: connection?.ports.map(({ localPort, remotePort }) => ({ localPort, remotePort })),
    ideLink: connection?.ideLink?.url,
    problem: state.kind === 'failed' ? state.failure.message : undefined,
    outputFile,
  };
}

function describe({ id, state }: Attachment): string {
  switch (state.kind) {
    case 'waiting':
      return `${id}: waiting for the run to get an instance.`;
    case 'attached':
      return `${id} is attached.`;
    case 'ended':
      return `${id}: ended (${state.message ?? state.how}).`;
    case 'failed':
      return `${id}: ${state.failure.message}`;
    default:
      return state satisfies never;
  }
}

/** Describes how to reach the job of an attachment, and how to end the attachment. */
function describeConnection({ run, state }: Attachment): string[] {
  if (state.kind !== 'attached') return [];
  const { ports, sshAlias, sshCommand, ideLink, reusedTunnel } = state.connection;
  const isPlain = sshCommand === `ssh ${sshAlias ?? ''}`;
  return [
    ...(ideLink === undefined ? [] : [`IDE: ${ideLink.url}`]),
    ...(sshCommand === undefined
      ? []
      : [
          `SSH: ${sshCommand}${isPlain ? '' : ` (plain \`ssh ${sshAlias ?? run}\` does not find it on this computer)`}`,
        ]),
    ...ports.map(({ localPort, remotePort }) => `port: localhost:${localPort} is port ${remotePort} of the run`),
    ...(reusedTunnel ? ['It uses a connection that already existed, with its ports.'] : []),
    `to end it: attach with action "stop" and run "${run}"; the run continues`,
  ];
}

/** An attachment counts as activity: a forgotten one keeps a dev environment alive, and its cost. */
function describeInactivity({ inactivitySeconds }: RunFacts): string[] {
  if (inactivitySeconds === undefined) return [];
  return [
    `inactivity_duration: ${formatDuration(inactivitySeconds * 1_000)} without a connection ends the run; this attachment counts as one until it is ended`,
  ];
}

function nextStep({ state }: Attachment): string | undefined {
  if (state.kind === 'waiting')
    return 'Call attach again with the same run later, or get with wait_for "running" first.';
  if (state.kind === 'failed') return `${state.failure.hint} The user can run: ${state.failure.command}`;
  if (state.kind === 'attached' && state.connection.ideLink !== undefined)
    return 'Show the link and ask the user whether to open it. Only the user may open links.';
  return undefined;
}

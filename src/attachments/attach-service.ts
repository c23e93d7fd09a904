import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Attachment } from './attachment-view.ts';
import type { Attachments, AttachStart, AttachStop } from './attachments.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import { CommandFailed } from '../core/report.ts';
import { ToolError } from '../core/errors.ts';

export interface AttachRequest {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
  /** As in `18080:8080`. */
  readonly ports?: readonly string[] | undefined;
}

/** What attachments are made with. */
export interface AttachSources {
  readonly attachments: Attachments;
  readonly dstack: DstackClient;
}

/** Attaches to runs. Changes nothing but this machine's ports and SSH configuration. */
export class AttachService {
  readonly #attachments: Attachments;
  readonly #dstack: DstackClient;

  constructor({ attachments, dstack }: AttachSources) {
    this.#attachments = attachments;
    this.#dstack = dstack;
  }

  /** Attaches to a run. @throws ToolError `invalid-name` for an unknown run; CommandFailed for a finished one */
  async start(request: AttachRequest): Promise<AttachStart> {
    const { deadline } = this.#dstack;
    const found = await findResource(this.#dstack, { kind: 'run', name: request.run, project: request.project });
    if (found === undefined)
      throw new ToolError(
        'invalid-name',
        `There is no run ${request.run}. Nothing was attached.`,
        'ps lists the runs.',
      );
    const run = readRun(found.value);
    if (run.isFinished) throw runIsOver(run, found.transcript);
    const argv = await attachArgv(this.#dstack, request);
    return this.#attachments.start(argv, {
      ...request,
      // The default project may change: an attachment belongs to the current one.
      project: (await this.#dstack.endpoint(request.project)).project,
      deadlineMs: deadline.remainingMs() - 2_000,
      signal: deadline.signal,
      expectIdeLink: run.kind === 'dev-environment',
      knownPorts: portsOf(request, run),
    });
  }

  status(idOrRun: string): Promise<readonly Attachment[]> {
    return this.#attachments.status(idOrRun);
  }

  stop(idOrRun: string): Promise<readonly AttachStop[]> {
    return this.#attachments.stop(idOrRun);
  }

  list(): Promise<readonly Attachment[]> {
    return this.#attachments.list();
  }
}

/** dstack itself would look for the machine for ten seconds before it reports that. */
const runIsOver = (run: RunFacts, transcript: Transcript): CommandFailed =>
  new CommandFailed({
    outcome: 'blocked',
    summary: `Run ${run.name} is ${run.status}: there is nothing to attach to.`,
    printed: [{ transcript, maxChars: 1_000 }],
    facts: { code: 'finished' },
    next: 'Read what it printed with logs, and why it ended with get.',
  });

/** Which local port leads to which port of the job: as asked for, else as the run's configuration says. */
function portsOf(request: AttachRequest, run: RunFacts): { localPort: number; remotePort: number }[] {
  const asked = (request.ports ?? []).map((mapping) => {
    const [localPort = 0, remotePort = localPort] = mapping.split(':').map(Number);
    return { localPort, remotePort };
  });
  const configured = (run.ports ?? []).map(({ port, localPort = port }) => ({ localPort, remotePort: port }));
  return [...asked, ...configured.filter((one) => !asked.some(({ remotePort }) => remotePort === one.remotePort))];
}

async function attachArgv(dstack: DstackClient, request: AttachRequest): Promise<CheckedArgv> {
  const argv = await dstack.check({
    command: 'attach',
    flags: {
      '--logs': true,
      '--replica': request.replica,
      '--job': request.job,
      '--port': request.ports,
      '--project': request.project,
    },
    positionals: [request.run],
  });
  if (!hasEffect(argv, 'change')) throw new TypeError('attach changes this machine');
  return argv;
}

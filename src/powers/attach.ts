import { hasEffect } from '../cli/check-argv.ts';
import type { CheckedArgv } from '../cli/command.ts';
import type { Transcript } from '../cli/runner.ts';
import type { Engine } from '../engine.ts';
import type { Attachment } from '../runs/attachment-view.ts';
import type { AttachStart, AttachStop } from '../runs/attachments.ts';
import type { CommandRunner } from './command-runner.ts';
import { findResource } from './find-resource.ts';
import { readRun } from '../output/read-run.ts';
import type { RunFacts } from '../output/read-run.ts';
import { CommandFailed } from './command-failed.ts';
import { ToolError } from '../errors.ts';
import type { TimePower } from './powers.ts';

export interface AttachRequest {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
  /** As in `18080:8080`. */
  readonly ports?: readonly string[] | undefined;
}

/** Attachments, as a tool may use them. They change nothing but this machine's ports and SSH configuration. */
export interface AttachPower {
  start(request: AttachRequest): Promise<AttachStart>;
  status(idOrRun: string): Promise<readonly Attachment[]>;
  stop(idOrRun: string): Promise<readonly AttachStop[]>;
  list(): Promise<readonly Attachment[]>;
}

export function createAttachPower(
  engine: Engine,
  { commands, time }: { commands: CommandRunner; time: TimePower },
): AttachPower {
  const { attachments } = engine;
  return {
    async start(request) {
      const found = await findResource(commands, { kind: 'run', name: request.run, project: request.project });
      if (found === undefined)
        throw new ToolError(
          'invalid-name',
          `There is no run ${request.run}. Nothing was attached.`,
          'ps lists the runs.',
        );
      const run = readRun(found.value);
      if (run.isFinished) throw runIsOver(run, found.transcript);
      const argv = await attachArgv(commands, request);
      return attachments.start(argv, {
        ...request,
        // The default project may be another one tomorrow: an attachment belongs to the one of today.
        project: (await engine.endpoint(request.project)).project,
        deadlineMs: time.remainingMs() - 2_000,
        signal: time.signal,
        expectIdeLink: run.kind === 'dev-environment',
        knownPorts: portsOf(request, run),
      });
    },
    status: (idOrRun) => attachments.status(idOrRun),
    stop: (idOrRun) => attachments.stop(idOrRun),
    list: () => attachments.list(),
  };
}

/** dstack itself would look for the machine for ten seconds before it said so. */
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

async function attachArgv(commands: CommandRunner, request: AttachRequest): Promise<CheckedArgv> {
  const argv = await commands.check({
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

import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { Attachment } from './attachment-view.ts';
import type { Use } from './attachment-uses.ts';
import type { Attachments } from './attachments.ts';
import type { AttachStart } from './start-attachment.ts';
import type { AttachStop } from './stop-attachment.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { checkConnection } from './check-connection.ts';
import { waitFor } from '../core/waiting.ts';
import { findRun } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-run.ts';
import type { RunFacts } from '../dstack/output/read-run.ts';
import { CommandFailed } from '../core/report.ts';

export interface AttachRequest {
  readonly run: string;
  readonly project?: string | undefined;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
  /** For example, `18080:8080`. */
  readonly ports?: readonly string[] | undefined;
  /** The one who needs it. Defaults to `user`. */
  readonly use?: Use | undefined;
}

/** Dependencies of the service. */
export interface AttachSources {
  readonly attachments: Attachments;
  readonly dstack: DstackClient;
}

const POLL_MS = 2_000;
/** Reserved for attaching after waiting for an instance. */
const ATTACH_MS = 12_000;

/** Attaches to runs. Changes nothing but this machine's ports and SSH configuration. */
export class AttachService {
  readonly #attachments: Attachments;
  readonly #dstack: DstackClient;

  constructor({ attachments, dstack }: AttachSources) {
    this.#attachments = attachments;
    this.#dstack = dstack;
  }

  /**
   * Attaches to a run, once it has an instance whose address is safe to hand to ssh.
   * @throws ToolError `invalid-name` for an unknown run, `invalid-value` for an unsafe address; CommandFailed for a finished run, and
   * for one that has no instance yet.
   */
  async start(request: AttachRequest): Promise<AttachStart & { readonly run: RunFacts }> {
    const { deadline } = this.#dstack;
    const { found, run } = await this.#findConnection(request);
    if (run.isFinished) throw runIsOver(run);
    if (checkConnection(found.value, request) === 'not-yet') throw hasNoInstance(run);
    const argv = await attachArgv(this.#dstack, request);
    const start = await this.#attachments.start(argv, {
      ...request,
      // The default project may change: an attachment belongs to the current one.
      project: (await this.#dstack.endpoint(request.project)).project,
      deadlineMs: deadline.remainingMs() - 2_000,
      signal: deadline.signal,
      expectIdeLink: run.kind === 'dev-environment',
      knownPorts: portsOf(request, run),
    });
    return { ...start, run };
  }

  /** Reads the run until its address is known or the call's time is almost over. */
  async #findConnection(request: AttachRequest): Promise<{ found: FoundResource; run: RunFacts }> {
    const { deadline } = this.#dstack;
    const poll = async () => {
      const found = await findRun(this.#dstack, request, 'Nothing was attached.');
      return { found, run: readRun(found.value) };
    };
    const first = await poll();
    const isKnown = ({ found, run }: typeof first): boolean =>
      run.isFinished || checkConnection(found.value, request) === 'known';
    if (isKnown(first)) return first;
    const deadlineMs = deadline.remainingMs() - ATTACH_MS;
    const { signal } = deadline;
    const waited = await waitFor({ poll, first, done: isKnown, intervalMs: POLL_MS, deadlineMs, signal });
    return waited.value ?? first;
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

/** dstack itself looks for the instance for ten seconds before it reports this. */
const runIsOver = (run: RunFacts): CommandFailed =>
  new CommandFailed({
    outcome: 'blocked',
    summary: `Run ${run.name} is ${run.status}: there is nothing to attach to.`,
    printed: [],
    facts: { code: 'finished' },
    next: 'Read its output with logs, and see why it ended with get.',
  });

/** dstack would wait for an instance, and then hand an address to ssh that nobody has checked. */
const hasNoInstance = (run: RunFacts): CommandFailed =>
  new CommandFailed({
    outcome: 'blocked',
    summary: `Run ${run.name} is ${run.status} and has no address to attach to yet. Nothing was attached.`,
    printed: [],
    facts: { code: 'no-instance' },
    next: 'Call get with wait_for "running", then attach.',
  });

/** Maps local ports to ports in the job: the requested mappings, then those in the run's configuration. */
function portsOf(request: AttachRequest, run: RunFacts): { localPort: number; remotePort: number }[] {
  const requested = (request.ports ?? []).map((mapping) => {
    const [localPort = 0, remotePort = localPort] = mapping.split(':').map(Number);
    return { localPort, remotePort };
  });
  const configured = (run.ports ?? []).map(({ port, localPort = port }) => ({ localPort, remotePort: port }));
  return [
    ...requested,
    ...configured.filter((one) => !requested.some(({ remotePort }) => remotePort === one.remotePort)),
  ];
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
  if (!hasEffect(argv, 'change')) throw new TypeError('attach changes this computer');
  return argv;
}

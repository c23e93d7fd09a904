import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { CommandFailed } from '../core/report.ts';
import { waitFor } from '../core/waiting.ts';
import { hasEffect } from '../dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findRun } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import type { Use } from './attachment-store.ts';
import type { Attachment } from './attachment-view.ts';
import type { Attachments } from './attachments.ts';
import type { AttachStart } from './start-attachment.ts';
import type { AttachStop } from './stop-attachment.ts';

interface AttachRequest {
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
interface AttachSources {
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

// dstack writes these values into an SSH configuration without quoting them: a line break in one of them adds any option, such as a
// ProxyCommand that runs on this computer.
const host = z.string().regex(/^[\w:][\w.:-]{0,254}$/);
// Some backends use an access token as the user name.
const user = z.string().regex(/^\w[\w.@+=-]{0,511}$/);
const port = z.int().min(1).max(65_535);
const jobName = z.string().regex(/^[a-z][a-z0-9-]{0,99}$/);

const provisioning = z.looseObject({
  hostname: host.nullish(),
  username: user,
  ssh_port: port.nullish(),
  ssh_proxy: z.looseObject({ hostname: host, username: user, port }).nullish(),
});

const submission = z.looseObject({
  job_provisioning_data: provisioning.nullish(),
  job_runtime_data: z
    .looseObject({ username: user.nullish(), ports: z.record(z.string().regex(/^\d{1,5}$/), port).nullish() })
    .nullish(),
});

const job = z.looseObject({
  job_spec: z.looseObject({
    job_name: jobName,
    job_num: z.int().nullish(),
    replica_num: z.int().nullish(),
    user: z.looseObject({ username: user.nullish() }).nullish(),
    app_specs: z.array(z.looseObject({ port, map_to_port: port.nullish() })).nullish(),
  }),
  job_submissions: z.array(z.unknown()),
  job_connection_info: z
    .looseObject({
      sshproxy_hostname: host.nullish(),
      sshproxy_port: port.nullish(),
      sshproxy_upstream_id: user.nullish(),
    })
    .nullish(),
});

const connections = z.looseObject({
  run_spec: z.looseObject({ run_name: z.string() }),
  jobs: z.array(job),
});

/** The job to attach to, as in the tool's input. */
interface WantedJob {
  readonly run: string;
  readonly replica?: number | undefined;
  readonly job?: number | undefined;
}

/**
 * Checks the host names, users and ports that dstack would write into its SSH configuration, for every job of a run. Returns whether
 * those of the wanted job are known yet.
 * @throws ToolError `invalid-value` if one of them isn't plain
 */
export function checkConnection(value: unknown, wanted: WantedJob): 'known' | 'not-yet' {
  const read = connections.safeParse(value);
  if (!read.success) throw refused(read.error.issues[0]?.path ?? []);
  if (read.data.run_spec.run_name !== wanted.run) throw refused(['run_spec', 'run_name']);
  let known: 'known' | 'not-yet' = 'not-yet';
  for (const [at, { job_spec: spec, job_submissions: all, job_connection_info: proxy }] of read.data.jobs.entries()) {
    // Earlier submissions aren't used.
    const latest = submission.nullish().safeParse(all.at(-1));
    if (!latest.success)
      throw refused(['jobs', at, 'job_submissions', all.length - 1, ...(latest.error.issues[0]?.path ?? [])]);
    const isWanted =
      (spec.job_num ?? 0) === (wanted.job ?? 0) &&
      (wanted.replica === undefined || (spec.replica_num ?? 0) === wanted.replica);
    const { hostname, ssh_port: sshPort } = latest.data?.job_provisioning_data ?? {};
    const isKnown = (hostname ?? undefined) !== undefined && (sshPort ?? undefined) !== undefined;
    if (isWanted && (isKnown || typeof proxy?.sshproxy_hostname === 'string')) known = 'known';
  }
  return known;
}

const refused = (path: readonly PropertyKey[]): ToolError =>
  new ToolError(
    'invalid-value',
    `The server's data for SSH isn't plain at \`${path.map(String).join('.')}\`: a name in it could run a command on this computer. Nothing was attached.`,
    'Tell the user: the machine, its fleet or the server may be compromised. get with `full` shows the value.',
  );

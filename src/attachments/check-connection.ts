import * as z from 'zod';
import { ToolError } from '../core/errors.ts';

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
export interface WantedJob {
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

import { homedir } from 'node:os';
import path from 'node:path';
import { createCalls } from './observability/track-calls.ts';
import type { Calls } from './observability/track-calls.ts';
import { createCliFinder } from './dstack/dstack-cli.ts';
import type { Cli } from './dstack/dstack-cli.ts';
import { cliEnvironment } from './dstack/run/environment.ts';
import { readClientConfig } from './dstack/client/read-dstack-config.ts';
import type { ClientConfig } from './dstack/client/read-dstack-config.ts';
import { countCall, noCounts } from './observability/counters.ts';
import type { Counts } from './observability/counters.ts';
import { currentCall } from './observability/current-call.ts';
import { ToolError } from './core/errors.ts';
import type { Log } from './core/log.ts';
import type { OutputFilters } from './render/render-report.ts';
import type { ChangeFacts } from './changes/change-facts.ts';
import { createEnvFiles } from './configuration/env-files.ts';
import type { EnvFiles } from './configuration/env-files.ts';
import { createAttachments } from './attachments/attachments.ts';
import type { Attachments } from './attachments/attachments.ts';
import type { AuditSink } from './safety/audit/audit-entry.ts';
import { createAuditLog } from './safety/audit/audit-log.ts';
import { createDialog } from './safety/dialog/dialog.ts';
import type { Dialog } from './safety/dialog/dialog.ts';
import { createGate } from './safety/consent/gate.ts';
import type { Gate } from './safety/consent/gate.ts';
import { createPolicyWatch } from './safety/policy/policy-watch.ts';
import type { PolicyWatch } from './safety/policy/policy-watch.ts';
import { createRedactor } from './render/redact.ts';
import { createRetryGuard } from './dstack/client/retry-guard.ts';
import type { RetryGuard } from './dstack/client/retry-guard.ts';
import { fenceUntrusted } from './render/untrusted.ts';
import { createWorkspace } from './safety/files/workspace.ts';
import type { Workspace } from './safety/files/workspace.ts';
import type { Settings } from './settings/settings.ts';
import { createTelemetry } from './observability/telemetry.ts';
import type { Report } from './core/report.ts';

/** Everything that outlives a call, made once per process. */
export interface App {
  readonly settings: Settings;
  readonly log: Log;
  readonly policy: PolicyWatch;
  readonly workspace: Workspace;
  readonly envFiles: EnvFiles;
  readonly gate: Gate<Report<ChangeFacts>>;
  readonly audit: AuditSink;
  readonly retryGuard: RetryGuard;
  readonly filters: OutputFilters;
  readonly dialog: Dialog;
  readonly attachments: Attachments;
  readonly calls: Calls;
  /** What the calls came to so far. */
  counts(): Counts;
  now(): number;
  /** Found at the first use, and looked for again as long as it isn't there. @throws ToolError `cli-not-found` */
  cli(): Promise<Cli>;
  /**
   * The project (the default one where none is given) and its server, as the CLI reads them.
   * @throws ToolError `policy` where the project isn't configured: a name that the model made up goes nowhere.
   */
  endpoint(project: string | undefined): Promise<{ project: string; server: string }>;
  /** Reads again which secrets the CLI has, so that they are masked. */
  learnSecrets(): Promise<void>;
  /** Starts what the first call would otherwise wait for; resolves when that has begun, or can't. */
  warmUp(): Promise<void>;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
}

/**
 * Makes the engine. Nothing of dstack is touched yet, so that the server answers at once.
 * @throws ToolError `policy-broken` where the policy can't be read: a server without its policy must not start.
 */
export function createApp({ settings, env, log }: AppOptions): App {
  const home = env['HOME'] ?? env['USERPROFILE'] ?? homedir();
  const policy = createPolicyWatch(settings);
  const redactor = createRedactor();
  const dialog = createDialog({ setting: settings.dialog, env });
  const auditLog = createAuditLog({
    ...policy.auditLimits(),
    // A folder of its own: it is kept private and rotated.
    folder: path.join(settings.stateDir, 'audit'),
    redact: redactor.redact,
  });
  const audit: AuditSink = { write: (entry) => auditLog.write({ ...entry, call: currentCall()?.id }) };
  const gate = createGate<Report<ChangeFacts>>({
    requirementFor: (change) => policy.requirementFor(change),
    audit,
    dialog,
  });
  const cli = createCliFinder({ settings, env, home, log, policy });

  const attachments = createAttachments({
    stateDir: settings.stateDir,
    executable: async () => (await cli.get()).executable.path,
    env: cliEnvironment(env),
    log,
  });

  const workspace = createWorkspace({ folders: settings.workspace, home });
  const envFiles = createEnvFiles({ allowed: settings.envFiles, workspace, learn: redactor.add });

  const telemetry = createTelemetry(env, log);
  let counts = noCounts(new Date());
  const calls = createCalls(log, [
    (record) => {
      counts = countCall(counts, record);
    },
    (record) => telemetry.report(record),
  ]);

  const readConfig = async (): Promise<ClientConfig> => {
    const config = await readClientConfig(env, home);
    redactor.add(config.secrets);
    return config;
  };

  const endpoint: App['endpoint'] = async (wanted) => {
    const config = await readConfig();
    const project = wanted ?? settings.project ?? config.defaultProject ?? 'the default project';
    const found = config.projects.find(({ name }) => name === project);
    if (wanted !== undefined && found === undefined) {
      const names = config.projects.map(({ name }) => name).join(', ');
      throw new ToolError(
        'policy',
        `No project ${wanted} is configured here. Nothing was run.`,
        `Configured: ${names || 'none'}. A person adds one with \`dstack project add\`.`,
      );
    }
    return { project, server: found?.url ?? 'a server that is not configured' };
  };

  return {
    settings,
    log,
    policy,
    gate,
    audit,
    dialog,
    attachments,
    endpoint,
    workspace,
    envFiles,
    retryGuard: createRetryGuard(),
    filters: { redact: redactor.redact, fence: fenceUntrusted },
    now: () => performance.now(),
    calls,
    counts: () => counts,
    cli: () => cli.get(),
    async learnSecrets() {
      await Promise.all([readConfig(), envFiles.mask()]);
    },
    async warmUp() {
      await cli.warmUp().catch((error: unknown) => log.warn({ err: error }, 'dstack'));
    },
    async close() {
      // A change that is cut off has its line, too: the process must not end before that.
      const recorded = gate.close();
      attachments.close();
      await cli.close();
      await recorded;
      await telemetry.close();
    },
  };
}

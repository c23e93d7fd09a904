import path from 'node:path';
import { countCall, createCalls, currentCall, noCounts } from './observability/calls.ts';
import type { Calls, Counts } from './observability/calls.ts';
import { createCliFinder } from './dstack/dstack-cli.ts';
import type { Cli } from './dstack/dstack-cli.ts';
import { withoutProjects } from './dstack/locate/find-executable.ts';
import { cliEnvironment } from './dstack/run/spawn-dstack.ts';
import { readDstackConfig } from './dstack/client/read-dstack-config.ts';
import type { DstackConfig } from './dstack/client/read-dstack-config.ts';
import { within } from './core/waiting.ts';
import { startTimeOf } from './core/exclusive-lock.mjs';
import type { Log } from './core/log.ts';
import { homeFolder } from './core/paths.ts';
import type { OutputFilters } from './render/render-report.ts';
import type { ChangeFacts } from './changes/change-facts.ts';
import { createEnvFiles } from './configuration/env-files.ts';
import type { EnvFiles } from './configuration/env-files.ts';
import { createAttachments } from './attachments/attachments.ts';
import type { Attachments } from './attachments/attachments.ts';
import { dstackSshDirOf } from './attachments/attachment-view.ts';
import { createAuditLog } from './safety/audit/audit-log.ts';
import type { AuditSink } from './safety/audit/audit-log.ts';
import { UnfinishedChanges } from './safety/audit/unfinished-changes.ts';
import { Agreements, Grants } from './safety/consent/remembered-consents.ts';
import { createDialog } from './safety/dialog/dialog.ts';
import type { Dialog } from './safety/dialog/dialog.ts';
import { Gate } from './safety/consent/gate.ts';
import { createPolicyWatch } from './safety/policy/policy-watch.ts';
import type { PolicyWatch } from './safety/policy/policy-watch.ts';
import { createRedactor } from './render/mask-secrets.ts';
import { createRetryGuard } from './dstack/client/retry-guard.ts';
import type { RetryGuard } from './dstack/client/retry-guard.ts';
import { fenceUntrusted } from './render/untrusted.ts';
import { createWorkspace } from './safety/files/workspace.ts';
import type { Workspace } from './safety/files/workspace.ts';
import type { ChangeSources, Planned } from './changes/change-service.ts';
import { SlowPlans, WaitingCalls } from './changes/between-calls.ts';
import type { Copied } from './remote/copy-tree.ts';
import { RemoteSessions } from './remote/sessions.ts';
import { Transfers } from './remote/transfers.ts';
import type { CreatedFiles } from './configuration/write-configuration.ts';
import { projectFolder } from './settings/settings.ts';
import type { Settings } from './settings/settings.ts';
import { createTelemetry } from './observability/telemetry.ts';
import type { Report } from './core/report.ts';

/** The services that outlive a call, created once per process. Only this file knows all of them. */
export interface App {
  readonly settings: Settings;
  readonly log: Log;
  readonly policy: PolicyWatch;
  readonly workspace: Workspace;
  /** Makes the client's roots the workspace; without any, it is what it was at the start. */
  useRoots(this: void, folders: readonly string[]): void;
  readonly envFiles: EnvFiles;
  readonly createdFiles: CreatedFiles;
  readonly slowPlans: SlowPlans<Planned>;
  readonly unsettled: ChangeSources['unsettled'];
  readonly waitingCalls: WaitingCalls;
  readonly gate: Gate<Report<ChangeFacts>>;
  readonly audit: AuditSink;
  /** The remembered consents to send something with plans. */
  readonly agreements: Agreements;
  /** The remembered consents to use runs. */
  readonly grants: Grants;
  /** The changes that an earlier server left without a result. */
  readonly unfinished: UnfinishedChanges;
  readonly retryGuard: RetryGuard;
  readonly filters: OutputFilters;
  readonly dialog: Dialog;
  readonly attachments: Attachments;
  /** The open connections to runs. */
  readonly sessions: RemoteSessions;
  /** The copies that take longer than their call. */
  readonly transfers: Transfers<Copied>;
  readonly calls: Calls;
  /** Counts the calls so far by tool and outcome. */
  counts(): Counts;
  /** Finds dstack at the first use, and searches again while it is missing. @throws ToolError `cli-not-found` */
  cli(): Promise<Cli>;
  /** The project of the settings, for commands that name none. */
  readonly defaultProject: string | undefined;
  /** Reads dstack's configuration, and masks the secrets in it from then on. */
  readConfig(): Promise<DstackConfig>;
  /** Reads the CLI's current secrets, so that they are masked. */
  learnSecrets(): Promise<void>;
  /** Starts a warm dstack process in the background: a call has arrived that will probably need one. */
  warmUp(this: void): void;
  close(): Promise<void>;
}

/** How long the exit of this process may wait for what it started. */
const CLOSE_MS = 1_500;

export interface AppOptions {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
}

/**
 * Creates the services. Doesn't touch dstack yet, so that the server answers immediately.
 * @throws ToolError `policy-broken` if the policy can't be read: a server without its policy must not start.
 */
export function createApp({ settings, env, log }: AppOptions): App {
  const home = homeFolder(env);
  const policy = createPolicyWatch(settings);
  const redactor = createRedactor();
  const outer = withoutProjects(env, { homeDir: home, workspace: settings.workspace });
  // A program of the workspace that calls itself zenity could answer for the user.
  const dialog = createDialog({ setting: settings.dialog, env: outer });
  const auditFolder = path.join(settings.stateDir, 'audit');
  const auditLog = createAuditLog({
    ...policy.auditLimits(),
    // A separate folder: it is kept private and rotated.
    folder: auditFolder,
    redact: redactor.redact,
  });
  let processStartedAt: string | undefined;
  const learnStart = async (): Promise<void> => {
    processStartedAt = await startTimeOf(process.pid);
  };
  void learnStart();
  const audit: AuditSink = {
    write: (entry) => auditLog.write({ processStartedAt, ...entry, call: currentCall()?.id }),
  };
  const gate = new Gate<Report<ChangeFacts>>({
    policy,
    audit,
    dialog,
    tokenFolder: path.join(settings.stateDir, 'tokens'),
  });
  const cli = createCliFinder({ settings, env, home, log, policy });

  const attachEnv = cliEnvironment(outer);
  const attachments = createAttachments({
    stateDir: settings.stateDir,
    executable: async () => {
      const { path: script, wrapper } = (await cli.get()).executable;
      // The wrapper sets its variables itself.
      return wrapper?.path ?? script;
    },
    env: attachEnv,
    log,
  });
  const transfers = new Transfers<Copied>();
  const sessions = new RemoteSessions({
    attachments,
    ssh: { env: attachEnv, dstackSshDir: dstackSshDirOf(attachEnv) },
    log,
  });

  const workspace = createWorkspace({ folders: settings.workspace, home });
  const envFiles = createEnvFiles({ mode: settings.envFiles, workspace, learn: redactor.add });

  const telemetry = createTelemetry(env, log);
  let counts = noCounts(new Date());
  const calls = createCalls(log, [
    (record) => {
      counts = countCall(counts, record);
    },
    (record) => telemetry.report(record),
  ]);

  const readConfig = async (): Promise<DstackConfig> => {
    const config = await readDstackConfig(env, home);
    redactor.add(config.secrets);
    return config;
  };

  return {
    settings,
    log,
    policy,
    gate,
    audit,
    agreements: new Agreements(settings.stateDir),
    grants: new Grants(settings.stateDir),
    unfinished: new UnfinishedChanges({ folder: auditFolder, audit }),
    dialog,
    attachments,
    sessions,
    transfers,
    defaultProject: settings.project,
    readConfig,
    workspace,
    useRoots(folders) {
      const roots = folders.map((folder) => projectFolder(path.resolve(folder), home));
      workspace.use(roots.length === 0 ? settings.workspace : [...new Set(roots)]);
    },
    envFiles,
    slowPlans: new SlowPlans(),
    unsettled: new WeakMap(),
    waitingCalls: new WaitingCalls(),
    createdFiles: new Map(),
    retryGuard: createRetryGuard(),
    filters: { redact: redactor.redact, fence: fenceUntrusted },
    calls,
    counts: () => counts,
    cli: () => cli.get(),
    async learnSecrets() {
      await Promise.all([readConfig(), envFiles.mask()]);
    },
    warmUp() {
      // The call itself reports why dstack isn't found.
      cli.warmUp().catch((error: unknown) => log.debug({ err: error }, 'no warm process'));
    },
    async close() {
      // Before the connections that they use.
      const ended = transfers
        .close()
        .then(() => sessions.close())
        .catch((error: unknown) => log.warn({ error }, 'Could not end the connections.'));
      attachments.close();
      // An interrupted change gets its audit line, too. What takes longer is left: clients kill a server that doesn't end, and the next
      // server closes the lines of this one.
      await within(CLOSE_MS, Promise.all([ended, gate.close(), cli.close()]));
      await telemetry.close();
    },
  };
}

import type { App } from '../app.ts';
import { AccessGate } from '../changes/access-gate.ts';
import { AttachService } from '../attachments/attach-service.ts';
import { ChangeService } from '../changes/change-service.ts';
import { ConfigurationService } from '../configuration/configuration-service.ts';
import type { WaitingCall } from '../core/change.ts';
import { createDeadline } from '../core/waiting.ts';
import type { Deadline } from '../core/waiting.ts';
import { checkSetup } from '../doctor/doctor.ts';
import type { DoctorReport } from '../doctor/local-checks.ts';
import { DstackClient } from '../dstack/client/dstack-client.ts';
import { reportResource, lookAtRun, reportRun } from '../dstack/client/report-state.ts';
import type { PlainKind, ResourceRequest, RunRequest, RunResult } from '../dstack/client/report-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { CopyService } from '../remote/copy-service.ts';
import { ExecService } from '../remote/exec-service.ts';
import { RemoteService } from '../remote/remote-service.ts';
import type { CallStart } from '../observability/calls.ts';
import type { Answer, Report } from '../core/report.ts';
import { RequestService } from '../remote/request-service.ts';
import { cleanLine } from '../render/untrusted.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';

/** Data that the client sent with a call, in addition to its arguments. */
export interface CallContext {
  /** Identification of the call in the client's own records. */
  readonly origin?: Omit<CallStart, 'tool'>;
  readonly signal: AbortSignal;
  /** Present if the client asked for progress. */
  readonly progress?: (message: string) => void;
  /** The client can show a form to a person. */
  readonly canAskPerson: boolean;
  /** The client shows the card, with buttons that a person can click. */
  readonly canShowCard: boolean;
  /** Names tools in a text for the model as the client knows them. */
  readonly nameTools?: (text: string) => string;
  /** The person's answer, if this call is the second round of a question. */
  readonly answer?: Answer;
}

/** The services that a tool may use: read through the dstack CLI, preview a change, and redeem a token for one. */
export interface ToolContext {
  readonly dstack: Pick<DstackClient, 'check' | 'read' | 'readLog' | 'help' | 'endpoint'>;
  readonly deadline: Deadline;
  readonly runs: {
    readonly report: (request: RunRequest) => Promise<Report<RunResult>>;
    readonly look: (run: Pick<RunRequest, 'name' | 'project'>) => Promise<RunFacts | undefined>;
  };
  /** Reports one resource other than a run. */
  readonly reportResource: (kind: PlainKind, request: ResourceRequest) => ReturnType<typeof reportResource>;
  /** Returns a function that names the limit of this server that excludes an offer. A broken policy excludes none, and refuses changes. */
  readonly exclusions: () => PolicySnapshot['exclusionOf'];
  readonly changes: ChangeService;
  /** Decides whether a run may be used: commands, uploads. */
  readonly access: AccessGate;
  readonly requests: RequestService;
  readonly attachments: AttachService;
  /** Connects to runs. */
  readonly remote: RemoteService;
  readonly exec: ExecService;
  readonly copies: CopyService;
  readonly config: ConfigurationService;
  readonly doctor: () => Promise<DoctorReport>;
}

/** Creates what a tool may do in one call. `waiting` is that call, if `apply` can make it once there is consent. */
export function createToolContext(app: App, call: CallContext, waiting?: WaitingCall): ToolContext {
  const deadline = createDeadline({
    timeoutMs: app.settings.timeoutMs,
    signal: call.signal,
    progress: (message) => call.progress?.(cleanLine(app.filters.redact(message))),
  });
  const openDstack = (other = deadline): DstackClient => new DstackClient(app, other);
  const dstack = openDstack();
  const changes = new ChangeService({ ...app, openDstack }, call);
  const access = new AccessGate({ ...app, dstack, changes, call: waiting });
  const remote = new RemoteService({ ...app, dstack });
  return {
    dstack,
    deadline,
    runs: {
      report: (request) => reportRun({ dstack, deadline }, request),
      look: (run) => lookAtRun({ dstack }, run),
    },
    reportResource: (kind, request) => reportResource(dstack, kind, request),
    exclusions: () => (app.policy.state().kind === 'broken' ? () => undefined : app.policy.snapshot().exclusionOf),
    changes,
    access,
    requests: new RequestService({ ...app, dstack, access }),
    attachments: new AttachService({ attachments: app.attachments, dstack }),
    remote,
    exec: new ExecService({ remote, access, dstack, deadline }),
    copies: new CopyService({ ...app, remote, access, deadline }),
    config: new ConfigurationService(app),
    doctor: () => checkSetup({ ...app, dstack }, call),
  };
}

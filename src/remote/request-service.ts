import type { AccessGate, WantedUse } from '../changes/access-gate.ts';
import { ToolError } from '../core/errors.ts';
import { CommandFailed, refuse } from '../core/report.ts';
import type { Report } from '../core/report.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findRun } from '../dstack/client/find-resource.ts';
import { isScaledToZero } from '../dstack/describe/describe-facts.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import type { RecordedUse } from '../safety/audit/use-journal.ts';
import { readOnlyRefusal } from '../safety/policy/policy-rules.ts';
import type { PolicySnapshot, PolicyWatch } from '../safety/policy/policy-watch.ts';
import { chatBody, findModelRoute, readTokens } from './chat.ts';
import type { ChatQuestion } from './chat.ts';
import { reportAnswer, reportLoad } from './report-answer.ts';
import type { RequestFacts, RequestWay } from './report-answer.ts';
import { addressOf, assertPath, exchange, resolvePath, runLoad } from './http-exchange.ts';
import type { HttpAnswer, HttpFailure, HttpRequest, LoadResult, LoadSize } from './http-exchange.ts';

export interface ServiceRequest {
  readonly run: string;
  readonly project?: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Asks its model instead. */
  readonly chat?: ChatQuestion | undefined;
  readonly load?: LoadSize | undefined;
}

export interface RequestSources {
  readonly dstack: DstackClient;
  readonly policy: Pick<PolicyWatch, 'snapshot'>;
  readonly access: AccessGate;
}

/** dstack's own proxy waits for a minute. */
const TIMEOUT_MS = 60_000;
/** Reserved for making the answer. */
const RESERVE_MS = 2_000;
const MAX_BYTES = 256 * 1_024;

/** A service and the request that is sent to it. */
interface Target {
  readonly run: RunFacts;
  readonly project: string;
  readonly server: string;
  readonly request: HttpRequest;
  readonly way: RequestWay;
}

/**
 * Sends requests to services of a project, with the user's token where the service needs one: only to the configured server, or to a
 * gateway that the operator named.
 */
export class RequestService {
  readonly #sources: RequestSources;

  constructor(sources: RequestSources) {
    this.#sources = sources;
  }

  /**
   * Sends a request, or several of the same kind, and reports the answer.
   * @throws ToolError if it isn't allowed or can't be sent; CommandFailed if the run isn't a service that is up
   */
  async send(wanted: ServiceRequest): Promise<Report<RequestFacts>> {
    if (wanted.chat === undefined) assertPath(wanted.path);
    const { dstack, policy: watch } = this.#sources;
    const policy = watch.snapshot();
    const { project, server } = await dstack.endpoint(wanted.project);
    policy.assertResourceAllowed({ kind: 'run', name: wanted.run, project, operation: 'access' });
    const onlyReads = wanted.chat === undefined && ['GET', 'HEAD'].includes(wanted.method);
    if (!onlyReads) assertMayChange(policy, 'a request other than GET and HEAD');
    const run = await this.#findService(wanted, server);
    const address = addressOf(run, { server, project, isGateway: (domain) => policy.isGateway(domain) });
    assertUp(run, address.at);
    // A gateway starts replicas for the requests that it counts.
    const mayStartReplica = address.at === 'gateway' && (wanted.load !== undefined || !hasReplica(run));
    if (mayStartReplica) assertMayChange(policy, 'a request that can start a replica');
    const token = run.auth === false ? undefined : await this.#tokenOf(project);
    const route =
      wanted.chat === undefined || address.at !== 'server' || token === undefined
        ? undefined
        : await findModelRoute(run, { server, project, send: (url) => this.#exchange(toRead(url, token)) });
    const url = route ?? resolvePath(address, wanted.chat === undefined ? wanted.path : chatPath(run));
    const request = toRequest(wanted, { url, run, token });
    const way = { isRead: onlyReads && !mayStartReplica, isForModel: route !== undefined };
    const target: Target = { run, project, server, request, way };
    // dstack passes the headers of a request on to the program, but not with its endpoint for models.
    const getsToken = token !== undefined && route === undefined;
    const refused = getsToken || mayStartReplica ? await this.#requireConsent(target, wanted, getsToken) : undefined;
    if (refused !== undefined) return refused;
    // Too late to send anything whose answer could still be awaited.
    if (dstack.deadline.remainingMs() < 2 * RESERVE_MS) throw tooLate();
    return this.#sendRecorded(target, wanted);
  }

  /** Returns the question whether requests may have the token, or may start a replica; undefined if they may. */
  async #requireConsent(
    { run, project, server, request }: Target,
    wanted: ServiceRequest,
    getsToken: boolean,
  ): Promise<Report<RequestFacts> | undefined> {
    const { access } = this.#sources;
    const { method, url, body } = request;
    const text = `${method} ${url.href}${timesOf(wanted)}`;
    const token = getsToken ? { token: true as const } : {};
    const use: WantedUse = { run, runId: run.id, project, server, what: 'request', text, input: body, ...token };
    const allowed = await access.require(use);
    if (allowed.kind === 'needs-consent') return allowed.report;
    await access.claim(use);
    return undefined;
  }

  async #findService(wanted: ServiceRequest, serverUrl: string): Promise<RunFacts> {
    const found = await findRun(this.#sources.dstack, wanted, 'Nothing was sent.');
    const run = readRun(found.value, { serverUrl });
    if (run.isFinished || run.serviceUrl === undefined) throw notAService(run);
    return run;
  }

  async #tokenOf(project: string): Promise<string> {
    const token = await this.#sources.dstack.tokenFor({ project });
    // Any other character could add a header.
    if (token !== undefined && /^[\x21-\x7e]+$/.test(token)) return token;
    throw new ToolError(
      'invalid-value',
      `The dstack configuration has no valid token for project ${project}, and the service needs one. Nothing was sent.`,
      'doctor shows the project and whether its token is valid.',
    );
  }

  #exchange(request: HttpRequest): Promise<HttpAnswer | HttpFailure> {
    const { deadline } = this.#sources.dstack;
    const timeoutMs = Math.min(TIMEOUT_MS, deadline.remainingMs() - RESERVE_MS);
    return exchange(request, { timeoutMs, maxBytes: MAX_BYTES, signal: deadline.signal });
  }

  async #sendRecorded(target: Target, wanted: ServiceRequest): Promise<Report<RequestFacts>> {
    const { run, request, way } = target;
    const { deadline } = this.#sources.dstack;
    deadline.progress(`${request.method} to ${run.name}`);
    if (wanted.load === undefined) {
      const end = await this.#record(target, wanted, () => this.#exchange(request), describeEnd);
      return reportAnswer(run, { request, end, way, isChat: wanted.chat !== undefined });
    }
    const { load } = wanted;
    const isOver = (): boolean => deadline.signal.aborted || deadline.remainingMs() < 2 * RESERVE_MS;
    const tokensOf = wanted.chat === undefined ? undefined : tokensIn;
    const send = (): Promise<LoadResult> =>
      runLoad(load, { send: () => this.#exchange(request), stop: isOver, tokensOf });
    return reportLoad(run, load, await this.#record(target, wanted, send, describeLoad));
  }

  /** Writes a line before and after a request that may change something. */
  #record<T>(
    { run, project, server, request, way }: Target,
    wanted: ServiceRequest,
    send: () => Promise<T>,
    describe: (end: T) => { readonly outcome: string; readonly bytes?: number },
  ): Promise<T> {
    if (way.isRead) return send();
    const text = `${request.method} ${request.url.pathname}${timesOf(wanted)}`;
    const use: RecordedUse = { tool: 'request', operation: 'request', run: run.name, project, server, text };
    return this.#sources.access.journal.record(use, send, describe);
  }
}

const tooLate = (): ToolError =>
  new ToolError(
    'timed-out',
    'Looking up the service took all of the time of this call. Nothing was sent.',
    'Call request again.',
  );

/** Any request but a read may change something in the run, and one that starts a replica costs money. */
function assertMayChange(policy: PolicySnapshot, what: string): void {
  if (policy.readOnly) throw readOnlyRefusal(what);
  policy.access({ token: true });
}

const timesOf = ({ load }: ServiceRequest): string => (load === undefined ? '' : ` (${load.requests} times)`);

const hasReplica = ({ jobs }: RunFacts): boolean => jobs.some(({ status }) => status === 'running');

/** @throws CommandFailed unless a request can reach a replica, or (on a gateway) start one */
function assertUp(run: RunFacts, at: 'server' | 'gateway'): void {
  if (at === 'gateway' || hasReplica(run)) return;
  const isAsleep = isScaledToZero(run);
  throw new CommandFailed({
    outcome: 'blocked',
    summary: isAsleep
      ? `The service ${run.name} is scaled to zero: it has no replica. Nothing was sent.`
      : `The service ${run.name} is ${run.statusMessage ?? run.status}: none of its replicas runs yet. Nothing was sent.`,
    printed: [],
    facts: { state: isAsleep ? 'scaled-to-zero' : 'starting' },
    // Only a gateway counts requests, and starts a replica for them.
    next: isAsleep
      ? 'No request starts one here: plan its configuration with `replicas: 1` or more.'
      : `Call get of ${run.name} with wait_for "ready", then this again.`,
  });
}

function notAService({ name, kind, status, isFinished }: RunFacts): CommandFailed {
  const what = isFinished
    ? `Run ${name} is ${status}: it answers no requests.`
    : `Run ${name} is a ${kind ?? 'run'}, not a service: it answers no requests.`;
  const next = isFinished
    ? 'See why it ended with get.'
    : 'attach makes the ports of a task or a dev environment available on this computer.';
  return new CommandFailed({ outcome: 'blocked', summary: `${what} Nothing was sent.`, printed: [], facts: {}, next });
}

/** Returns the path of the API for chats, which the configuration of the service decides. */
function chatPath({ name, model, modelUrl, serviceUrl = '' }: RunFacts): string {
  if (model === undefined)
    refuse(
      `The service ${name} has no \`model\`, so it has no chat endpoint.`,
      'Use `path` and `body` instead of `chat`.',
    );
  const base = serviceUrl.replace(/\/$/, '');
  const prefix = modelUrl?.startsWith(`${base}/`) === true ? modelUrl.slice(base.length).replace(/\/$/, '') : '/v1';
  return `${prefix}/chat/completions`;
}

function toRequest(
  { method, headers, body, chat }: ServiceRequest,
  { url, run, token }: { readonly url: URL; readonly run: RunFacts; readonly token: string | undefined },
): HttpRequest {
  const authorization = token === undefined ? {} : bearer(token);
  if (chat === undefined) return { method, url, headers: { ...headers, ...authorization }, body };
  const json = { 'content-type': 'application/json', ...authorization };
  return { method: 'POST', url, headers: json, body: chatBody(run.model ?? '', chat) };
}

const bearer = (token: string): { readonly authorization: string } => ({ authorization: `Bearer ${token}` });

const toRead = (url: URL, token: string): HttpRequest => ({ method: 'GET', url, headers: bearer(token) });

const tokensIn = ({ headers, body }: HttpAnswer): number | undefined =>
  readTokens(headers.get('content-type') ?? '', body.toString('utf8'));

const describeEnd = (end: HttpAnswer | HttpFailure): { readonly outcome: string; readonly bytes?: number } =>
  end.kind === 'failure' ? { outcome: end.why } : { outcome: `HTTP ${end.status}`, bytes: end.body.length };

const describeLoad = ({ sent, answered }: LoadResult): { readonly outcome: string } => ({
  outcome: `${answered} of ${sent} answered`,
});

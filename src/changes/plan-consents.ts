import { describeAccess } from '../configuration/hand-over.ts';
import type { AccessRequest, AccessUse, PendingPart } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import { formatLocalTime, formatPrice, isRecord, joinParts } from '../core/values.ts';
import type { Report } from '../core/report.ts';
import { findRun } from '../dstack/client/find-resource.ts';
import type { FoundResource } from '../dstack/client/find-resource.ts';
import { readRun } from '../dstack/output/read-state.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';
import { cleanLine } from '../render/untrusted.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/consent-wording.ts';
import { accessArgv, disclosureArgv } from '../safety/consent/remembered-consents.ts';
import type { GrantTerms } from '../safety/consent/remembered-consents.ts';
import type { AccessTerms } from '../safety/policy/policy-rules.ts';
import type { PreparedPlan } from './apply-plan.ts';
import type { ChangeFacts } from './change-facts.ts';
import { SHOW } from './planned-change.ts';
import type { AccessPlan, AgreementPlan, PlanScope, SettledPlan } from './planned-change.ts';

/** Plans the consent to use a run. It changes nothing in dstack, so it is remembered instead of executed. */
export async function planAccess(scope: PlanScope, request: AccessRequest): Promise<AccessPlan | SettledPlan> {
  const { dstack, policy } = scope;
  const { run: name, until, use, token } = request;
  const { project, server } = await dstack.endpoint(request.project);
  policy.assertResourceAllowed({ kind: 'run', name, project, operation: 'access' });
  const terms = policy.access(request);
  assertTerms(terms, request);
  const found = await findRun(dstack, request, 'Nothing was run.');
  const run = readRun(found.value);
  const resource = { kind: 'run', name };
  const facts = { operation: 'access', resource, project } as const;
  if (run.isFinished) return { kind: 'settled', outcome: 'blocked', ...runIsOver(run), printed: [], facts };
  const opened = readAccess(found);
  // With the token, any program can do what the user can.
  const reachesServer = opened.reachesServer || token === true;
  const only = { ...(use === undefined ? {} : { use }), ...(token === undefined ? {} : { token }) };
  const limit = terms.commands === undefined ? {} : { commands: [...terms.commands] };
  const { deployment = 0 } = run;
  const place = { server, project, run: name, runId: found.id, deployment };
  const grant: GrantTerms = { ...place, until, ...only, ...limit, reachesServer };
  const access = [
    ...describeScope(request, terms, scope.filters.redact),
    ...describeStarts(run, request, terms),
    describePlace(run),
    ...opened.says,
    ...describeCall(request, scope.filters.redact),
  ];
  const action = `Allow ${describeUses(request)} until ${formatLocalTime(new Date(until))}`;
  const { version: cliVersion } = await dstack.cli();
  const pending: PendingPart = {
    request,
    operation: 'access',
    argv: accessArgv(grant),
    ...(reachesServer ? { reachesServer } : {}),
    binding: {
      tool: 'access',
      resource,
      project,
      server,
      cwd: '',
      files: {},
      present: found.id,
      affected: [],
      pricePerHour: null,
      mostPerHour: null,
      cliVersion,
      requests: null,
    },
    summary: { action, resource, project, server, losses: [], access, warnings: [] },
  };
  const summary = `${action}? Nothing was run yet: that needs consent ${use === undefined ? 'once for this run' : 'each time'}.`;
  return {
    kind: 'access',
    printed: [],
    summary,
    details: access,
    facts: { ...facts, access },
    next: SHOW,
    grant,
    pending,
    call: request.call,
  };
}

/** The policy may have been edited since the question. */
function assertTerms({ eachTime }: AccessTerms, { until, use }: AccessRequest): void {
  if (Date.parse(until) > Date.now() && eachTime === (use !== undefined)) return;
  throw new ToolError(
    'plan-changed',
    'This consent is no longer possible: it has expired, or the policy changed. Nothing was run.',
    'Make the call that needs it again.',
  );
}

/** Says that a run can't be used, because it has ended. */
export const runIsOver = ({ name, status }: Pick<RunFacts, 'name' | 'status'>): { summary: string; next: string } => ({
  summary: `Run ${name} is ${status}: nothing can be run in it or uploaded to it.`,
  next: 'Read its output with logs, and see why it ended with get.',
});

/** Reads what a run opens from its configuration. A run that doesn't show it may reach the dstack server. */
function readAccess({ value }: FoundResource): ReturnType<typeof describeAccess> {
  const spec = value['run_spec'];
  const configuration = isRecord(spec) ? spec['configuration'] : undefined;
  if (!isRecord(configuration)) return { says: ["the run doesn't show its configuration"], reachesServer: true };
  return describeAccess(configuration);
}

function describeUses({ run, use, token }: AccessRequest): string {
  if (token === true) return `${use === undefined ? 'requests' : 'one request'} with your dstack token to run ${run}`;
  return `${use === undefined ? 'commands and uploads' : `one ${WORDS[use.what]}`} in run ${run}`;
}

const WORDS = { exec: 'command', upload: 'upload', download: 'download', request: 'request' } as const;

function describeScope(
  { run, until, use, token }: AccessRequest,
  { commands }: AccessTerms,
  redact: (text: string) => string,
): string[] {
  const time = formatLocalTime(new Date(until));
  const end = `until the run ends or is updated, and at most until ${time}`;
  const passedOn = `dstack passes it on to the program of run ${run}: with it, that program can start and stop runs itself`;
  if (use !== undefined)
    return [
      `this ${WORDS[use.what]}, once until ${time}, in run ${run}${describeWhere(use)}:`,
      ...linesOf(use.text, redact),
      ...(use.input === undefined ? [] : ['with this input:', ...linesOf(use.input, redact)]),
      ...(token === true ? [`it has your dstack token. ${passedOn}`] : []),
    ];
  if (token === true) return [`every request to the service has your dstack token, ${end}. ${passedOn}`];
  if (commands !== undefined) return [`these commands in the whole run ${run}, ${end}:`, ...commands];
  return [`any command and any upload in the whole run ${run}, ${end}`];
}

const describeStarts = ({ kind }: RunFacts, { use, token }: AccessRequest, { commands }: AccessTerms): string[] =>
  kind === 'service' && use === undefined && (token === true || commands === undefined)
    ? ['requests to the service, which can start replicas of it if it is on a gateway']
    : [];

const describeWhere = ({ replica, job, isBackground }: AccessUse): string =>
  [
    ...(replica === undefined ? [] : [`, replica ${replica}`]),
    ...(job === undefined ? [] : [`, job ${job}`]),
    ...(isBackground === true ? [', in the background'] : []),
  ].join('');

const describePlace = ({ kind, gpu, instanceType, backend, region, pricePerHour }: RunFacts): string =>
  [
    `the run: ${kind ?? 'run'}`,
    ...(backend === undefined ? [] : [`${gpu ?? instanceType ?? 'a machine'} on ${backend}`]),
    ...(region === undefined ? [] : [region]),
    ...(pricePerHour === undefined ? [] : [formatPrice(pricePerHour)]),
  ].join(', ');

/** Names the call that is made right after the approval. The question for one use shows it as a whole. */
const describeCall = ({ use, wants }: AccessRequest, redact: (text: string) => string): string[] =>
  use !== undefined || wants === undefined ? [] : [`at once: ${cleanLine(redact(wants), MAX_SHOWN_CHARS)}`];

/** Limits of a question. Nobody could approve what isn't shown as a whole. */
const MAX_SHOWN_LINES = 20;
const MAX_SHOWN_CHARS = 400;

/** Blanks that would be lost or look like one are shown as `␣` and `␉`. */
const showBlanks = (line: string): string =>
  line.replace(/^ +| {2,}| +$/g, (blanks) => '␣'.repeat(blanks.length)).replaceAll('\t', '␉');

/** Returns the lines of a text, if the question shows them unchanged: without anything that is masked, cut, removed or replaced. */
function linesOf(text: string, redact: (text: string) => string): readonly string[] {
  const lines = text.split('\n').map(showBlanks);
  if (lines.length > MAX_SHOWN_LINES || lines.some((line) => line.length > MAX_SHOWN_CHARS))
    throw cannotBeShown(
      `this one is too long to be shown: at most ${MAX_SHOWN_LINES} lines of ${MAX_SHOWN_CHARS} characters`,
      'Make it shorter.',
    );
  if (/[\u2423\u2409]/.test(text) || lines.some((line) => cleanLine(redact(line)) !== line))
    throw cannotBeShown(
      "this one can't be shown unchanged: it contains a secret, the user part of a URL, a private key, or control or invisible characters",
      'Write it without them. A secret belongs to the variables or a file of the run.',
    );
  return lines;
}

const cannotBeShown = (why: string, hint: string): ToolError =>
  new ToolError('policy', `The operator's policy wants a question for each use, and ${why}. Nothing was run.`, hint);

/** Remembers the consent. The next call of the tool that needed it uses it. */
export async function rememberGrant(
  { grants }: Pick<PlanScope, 'grants'>,
  { grant, pending, facts, call }: AccessPlan,
  consent: Consent,
): Promise<Report<ChangeFacts>> {
  await grants.remember(consent, grant);
  return {
    outcome: 'done',
    summary: `${pending.summary.action.replace(/^Allow/, 'Allowed')}, or until the run ends or is updated. Nothing was run yet.`,
    printed: [],
    facts: { ...facts, consent: describeLevel(consent.level) },
    next:
      call === undefined
        ? 'Make the call that asked for this again.'
        : 'Call apply with this token: it makes the call that asked for this.',
  };
}

/**
 * Plans the consent that a plan needs before dstack is started for it. It is a separate step, so that `plan` never sends what nobody
 * agreed to.
 */
export function planAgreement(prepared: PreparedPlan): AgreementPlan | SettledPlan {
  const { request, file, endpoint, cliVersion, handOver } = prepared;
  const { project, server } = endpoint;
  const disclosed = { server, disclosures: handOver.open };
  const actions = handOver.open.map(({ action }) => action);
  const resource = { kind: 'configuration', name: file.relativePath };
  const facts = { operation: 'send', resource, project } as const;
  if (actions.length === 0)
    return {
      kind: 'settled',
      outcome: 'nothing-to-do',
      printed: [],
      summary: `Planning ${file.relativePath} sends nothing that needs consent now.`,
      facts,
      next: PLAN_AGAIN,
    };
  return {
    kind: 'agreement',
    printed: [],
    summary: `Nothing was planned or sent yet. To plan ${file.relativePath}, dstack would ${joinParts(actions)}. That needs consent once.`,
    facts: { ...facts, sends: actions },
    next: SHOW,
    disclosed,
    pending: {
      request: { ...request, agreement: true },
      operation: 'send',
      argv: disclosureArgv(disclosed),
      binding: {
        tool: 'apply',
        resource,
        project,
        server,
        cwd: file.folder,
        files: { [file.realPath]: file.sha256, ...handOver.hashes },
        present: null,
        affected: actions,
        pricePerHour: null,
        mostPerHour: null,
        cliVersion,
        requests: null,
      },
      summary: {
        action: `Allow plans to send what ${file.relativePath} needs, now and later`,
        resource,
        project,
        server,
        losses: [],
        sends: actions,
        warnings: [],
      },
    },
  };
}

const PLAN_AGAIN = 'Call plan again with the same file.';

/** Remembers what was consented to. Nothing is sent: that is up to the next plan. */
export async function rememberAgreement(
  { agreements }: Pick<PlanScope, 'agreements'>,
  { disclosed, facts }: AgreementPlan,
  consent: Consent,
): Promise<Report<ChangeFacts>> {
  await agreements.remember(consent, disclosed);
  return {
    outcome: 'done',
    summary: `Plans may now ${joinParts(disclosed.disclosures.map(({ action }) => action))}. Nothing was sent yet.`,
    printed: [],
    facts: { ...facts, consent: describeLevel(consent.level) },
    next: `${PLAN_AGAIN} doctor lists what was agreed to, and how to revoke it.`,
  };
}

import type { ChangeRequest, OneChange, PendingChange } from '../core/change.ts';
import { ToolError, messageOf } from '../core/errors.ts';
import { reportFailure } from '../core/report.ts';
import type { Answer, Question, Report } from '../core/report.ts';
import { createDeadline } from '../core/waiting.ts';
import type { Deadline } from '../core/waiting.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import type { Begun, CardDecision, Gate } from '../safety/consent/gate.ts';
import type { Redemption } from '../safety/consent/redemption.ts';
import type { Used } from '../safety/consent/token-store.ts';
import type { PolicyWatch } from '../safety/policy/policy-watch.ts';
import type { ChangeFacts } from './change-facts.ts';
import { executeChange, noLongerPossible } from './execute-change.ts';
import type { Made } from './execute-change.ts';
import { planAccess, rememberAgreement, rememberGrant } from './plan-consents.ts';
import { reportPlan, reportPreview } from './planned-change.ts';
import type {
  AccessPlan,
  AgreementPlan,
  PlanScope,
  PlannedChange,
  PreparedChange,
  SettledPlan,
  SeveralPlan,
} from './planned-change.ts';
import { prepareApply } from './prepare-apply.ts';
import { prepareDelete } from './prepare-removal.ts';
import { planStops, prepareStop, reportStops } from './prepare-stop.ts';
import type { PartEnd } from './prepare-stop.ts';
import { assertSameArguments, usedBefore } from './between-calls.ts';
import type { RepeatedArguments, SlowPlans, WaitingCalls } from './between-calls.ts';
import { assertRoom, withRoom } from './reserve-room.ts';
import type { RoomScope } from './reserve-room.ts';

/** Dependencies of the service. */
export interface ChangeSources extends Pick<
  PlanScope,
  'workspace' | 'envFiles' | 'agreements' | 'grants' | 'audit' | 'filters'
> {
  readonly gate: Gate<Report<ChangeFacts>>;
  readonly policy: Pick<PolicyWatch, 'snapshot'>;
  readonly settings: Pick<RoomScope, 'stateDir'> & Pick<PlanScope, 'maxUploadBytes'>;
  /** Returns a client that resolves the CLI and dstack's configuration again: a plan never uses what an earlier one resolved. */
  openDstack(deadline?: Deadline): DstackClient;
  readonly slowPlans: SlowPlans<Planned>;
  /** Looks again at changes whose outcome wasn't known in time, by their result. */
  readonly unsettled: WeakMap<Report<ChangeFacts>, Made['lookAgain']>;
  readonly waitingCalls: WaitingCalls;
}

export type Planned = PlannedChange | SeveralPlan;

type ChangeScope = PlanScope & RoomScope & Pick<ChangeSources, 'unsettled'>;

/** dstack's server may be slow, or wait for a cloud. */
const PLAN_LIMIT_MS = 300_000;

/** As for a command. */
const MIN_WAIT_MS = 1_000;

const STILL_PLANNING: Report<ChangeFacts> = {
  outcome: 'waiting',
  summary: 'dstack is still planning. Nothing was changed.',
  printed: [],
  facts: {},
  next: 'Make the same call again: it continues to wait for the same plan. doctor checks whether the server responds.',
};

/** The prompts that the client of one call can show, and the person's answer. */
export interface ChangeContext {
  readonly canAskPerson: boolean;
  readonly canShowCard: boolean;
  readonly answer?: Answer;
}

/** Makes changes in two steps: a preview that mints a token, and its redemption. */
export class ChangeService {
  readonly #sources: ChangeSources;
  readonly #context: ChangeContext;

  constructor(sources: ChangeSources, context: ChangeContext) {
    this.#sources = sources;
    this.#context = context;
  }

  /** Plans a change and returns the plan with the token for it. Changes nothing. */
  async preview(request: ChangeRequest): Promise<Report<ChangeFacts>> {
    const { gate, filters } = this.#sources;
    const scope = this.#openScope();
    const { dstack, workspace } = scope;
    const time = { waitMs: Math.max(MIN_WAIT_MS, dstack.waitMs()), signal: dstack.deadline.signal };
    // A plan of another content is another plan.
    const file = 'file' in request ? await workspace.readConfiguration(request.file).catch(() => undefined) : undefined;
    const key = JSON.stringify([request, file?.sha256]);
    const done = await this.#sources.slowPlans.wait(key, time, (signal) => this.#plan(request, signal));
    if (done === undefined) return STILL_PLANNING;
    const { plan: planned } = done;
    if (planned.kind === 'settled') return reportPlan(planned);
    if (planned.kind === 'ready') await assertRoom(scope, planned);
    const asks = gate.promptFor(planned.pending, this.#context);
    const minted = gate.mint(planned.pending, { card: this.#context.canShowCard });
    return reportPreview(planned, minted, { asks, redact: filters.redact });
  }

  /** Plans a change. It may take longer than this call. */
  async #plan(request: ChangeRequest, signal: AbortSignal): Promise<Planned> {
    const scope = this.#openScope(createDeadline({ timeoutMs: PLAN_LIMIT_MS, signal, progress: undefined }));
    const planned = 'runs' in request ? await planStops(scope, request) : await planOne(scope, request);
    return planned.kind === 'settled' ? ((await planned.explain?.()) ?? planned) : planned;
  }

  /** Makes the change that a token stands for. @throws ToolError `invalid-input` if repeated arguments say something else */
  async redeem(token: string, repeated: RepeatedArguments = {}): Promise<Report<ChangeFacts> | Question> {
    assertSameArguments(this.#sources.gate.changeOf(token), repeated);
    const { canAskPerson, answer } = this.#context;
    const approval = { canAskPerson, answer, waitMs: this.#sources.openDstack().waitMs() };
    return this.#carryOut(await this.#sources.gate.begin(token, approval));
  }

  /** Makes the call that waited for the consent of a token, after its redemption. Returns undefined if there is none. */
  makeWaitingCall(
    token: string,
    redeemed: Report<ChangeFacts>,
    make: Parameters<WaitingCalls['make']>[2],
  ): ReturnType<WaitingCalls['make']> {
    return this.#sources.waitingCalls.make(this.#sources.gate.changeOf(token), redeemed, make);
  }

  /** Makes the change if the policy wants no approval for it. Returns whether it did. */
  async redeemIfAllowed(token: string): Promise<boolean> {
    const { gate, policy } = this.#sources;
    if (policy.snapshot().requirementFor(gate.changeOf(token)) !== 'allow') return false;
    const redeemed = await this.redeem(token);
    return !('kind' in redeemed) && redeemed.outcome === 'done';
  }

  /** Makes the change, or ends its token, after a person's click in the card. */
  async decide(decision: CardDecision): Promise<Report<ChangeFacts> | Question> {
    if (!this.#context.canShowCard) throw noCard();
    return this.#carryOut(await this.#sources.gate.beginByCard(decision), 'This was approved');
  }

  /** Takes the report of a card's page that it is on the screen. */
  cardShown(nonce: string): Report<ChangeFacts> {
    if (!this.#context.canShowCard) throw noCard();
    this.#sources.gate.cardShown(nonce);
    return { outcome: 'done', summary: 'The change waits for a click in the card.', printed: [], facts: {} };
  }

  /** Makes the approved change, if it is still the same right before it is made, and records the result. */
  async #carryOut(
    begun: Begun<Report<ChangeFacts>>,
    what: Parameters<typeof usedBefore>[0] = 'This token was used',
  ): Promise<Report<ChangeFacts> | Question> {
    if (begun.kind === 'question') return begun;
    if (begun.kind === 'waiting-for-person')
      return { outcome: begun.kind, summary: begun.message, printed: [], facts: {}, next: begun.next };
    if (begun.kind === 'replay') return this.#replay(begun.used, what);
    const { redemption } = begun;
    try {
      const scope = this.#openScope();
      return reportUsed(
        redemption.change.parts === undefined
          ? redemption.finish(await makeChange(scope, redemption))
          : await makeSeveral(scope, redemption),
      );
    } catch (error) {
      throw redemption.fail(error);
    }
  }

  /** Returns the result of an earlier use. If it wasn't known then, the resource is looked at again. */
  async #replay(used: Used<Report<ChangeFacts>>, what: Parameters<typeof usedBefore>[0]): Promise<Report<ChangeFacts>> {
    const lookAgain = this.#sources.unsettled.get(used.result);
    const now = await lookAgain?.(this.#sources.openDstack());
    return now === undefined || now.outcome === 'unknown'
      ? reportUsed(used, usedBefore(what, 'then'))
      : reportUsed({ ...used, result: now }, usedBefore(what, 'now'));
  }

  #openScope(deadline?: Deadline): ChangeScope {
    const { policy, settings, ...sources } = this.#sources;
    // One by one: the settings have a `workspace`, too.
    const { stateDir, maxUploadBytes } = settings;
    return {
      ...sources,
      stateDir,
      maxUploadBytes,
      dstack: this.#sources.openDstack(deadline),
      policy: policy.snapshot(),
    };
  }
}

/** Makes several changes that one approval covers. One that fails leaves the others alone: each was approved. */
async function makeSeveral(
  scope: ChangeScope,
  redemption: Redemption<Report<ChangeFacts>>,
): Promise<Used<Report<ChangeFacts>>> {
  let unrecorded = false;
  const ends = await Promise.all(
    redemption.split().map(async (part): Promise<PartEnd> => {
      const name = part.change.binding.resource.name ?? '';
      try {
        const used = part.finish(await makeChange(scope, part));
        unrecorded ||= used.unrecorded;
        return { name, report: used.result };
      } catch (error) {
        return { name, report: reportFailure(part.fail(error)) ?? unknownEnd(error) };
      }
    }),
  );
  return redemption.finishSplit(reportStops(ends), { unrecorded });
}

const unknownEnd = (error: unknown): Report<ChangeFacts> => ({
  outcome: 'unknown',
  summary: `A bug in this server: ${messageOf(error)}`,
  printed: [],
  facts: {},
  next: "It isn't known whether it was stopped: check with ps before anything else.",
});

/** Compares what is known before dstack starts, and makes the change while it has room under `max_active`. */
async function makeChange(
  scope: ChangeScope,
  redemption: Redemption<Report<ChangeFacts>>,
): Promise<Report<ChangeFacts>> {
  const { change } = redemption;
  const prepared = await prepareChange(scope, oneOf(change.request));
  if (prepared.kind === 'settled') throw noLongerPossible(prepared);
  if (prepared.kind === 'agreement') return rememberAgreement(scope, prepared, redemption.grant(prepared.pending));
  if (prepared.kind === 'access') return rememberGrant(scope, prepared, redemption.grant(prepared.pending));
  redemption.compare(prepared.known);
  return withRoom(scope, change, async (room) => {
    let made: PendingChange | undefined;
    const { report, lookAgain } = await executeChange(scope, prepared, async (planned) => {
      made = planned.pending;
      await room.take(planned);
      try {
        return redemption.grant(planned.pending);
      } catch (error) {
        room.release();
        throw error;
      }
    });
    if (report.outcome !== 'done' && report.outcome !== 'unknown') room.release();
    const result = made === undefined ? report : withMachine(report, { approved: change, made });
    if (result.outcome === 'unknown') {
      room.extend();
      scope.unsettled.set(result, lookAgain);
    }
    return result;
  });
}

/** Says which machine dstack tries first by now, if it isn't the approved one: the machine isn't bound. */
function withMachine(
  report: Report<ChangeFacts>,
  { approved, made }: { readonly approved: PendingChange; readonly made: PendingChange },
): Report<ChangeFacts> {
  const { machine: before } = approved.summary;
  const { machine: now } = made.summary;
  if (before === now || now === undefined || report.outcome !== 'done') return report;
  return {
    ...report,
    summary: `${report.summary} Planned: ${before ?? 'an unknown machine'}. When it was applied, the first offer was ${now}.`,
  };
}

function reportUsed({ result, unrecorded }: Used<Report<ChangeFacts>>, before = ''): Report<ChangeFacts> {
  const summary = [`${before}${result.summary}`, ...(unrecorded ? [UNRECORDED] : [])].join(' ');
  return { ...result, summary };
}

const UNRECORDED =
  "Its last line couldn't be written to the audit log: no further change is made until that works again.";

const noCard = (): ToolError =>
  new ToolError(
    'person-needed',
    "Only a person's click in the card decides here, and this client shows no card. Nothing was changed.",
    'Call plan, stop or delete: its `next` says how the user is asked.',
  );

/** Plans a change of one resource. */
async function planOne(scope: PlanScope, request: OneChange): Promise<PlannedChange> {
  const prepared = await prepareChange(scope, request);
  return prepared.kind === 'prepared' ? prepared.plan() : prepared;
}

/** Returns the request for one change. */
function oneOf(request: ChangeRequest): OneChange {
  if ('runs' in request) throw new TypeError('several changes are made one by one');
  return request;
}

/** Judges a change by what is on this computer. What changes nothing in dstack is planned as a whole. */
function prepareChange(
  scope: PlanScope,
  request: OneChange,
): Promise<PreparedChange | AgreementPlan | AccessPlan | SettledPlan> {
  switch (request.tool) {
    case 'apply':
      return prepareApply(scope, request);
    case 'stop':
      return prepareStop(scope, request);
    case 'delete':
      return prepareDelete(scope, request);
    case 'access':
      return planAccess(scope, request);
    default:
      return request satisfies never;
  }
}

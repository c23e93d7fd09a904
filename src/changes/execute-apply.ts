import { isDeepStrictEqual } from 'node:util';
import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { RunOptions } from '../dstack/run/runner.ts';
import type { App } from '../app.ts';
import { readApplyOutcome } from '../dstack/output/read-outcome.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';
import { ANSWER_RESERVE_MS } from '../dstack/client/dstack-client.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource, kindOf } from '../dstack/client/find-resource.ts';
import type { ApplyPlan } from './apply-plan.ts';
import type { Deadline } from '../core/deadline.ts';

/** Time kept back for looking where the resource stands after the change. */
const LOOK_MS = 6_000;

export interface ApplyToPerform {
  readonly planned: ApplyPlan;
  readonly argv: CheckedArgv<'change' | 'destroy'>;
  readonly consent: Consent;
  readonly where: Pick<RunOptions, 'cwd' | 'env' | 'pinnedFile'>;
}

/** Applies a plan that was consented to, once, and looks where the resource stands then. */
export async function executeApply(
  engine: App,
  { commands, time }: { commands: DstackClient; time: Deadline },
  { planned, argv, consent, where }: ApplyToPerform,
): Promise<Report<ChangeFacts>> {
  const { runner } = await engine.cli();
  time.progress(`dstack ${argv.command}`);
  const transcript = await runner.change(argv, consent, {
    ...where,
    timeoutMs: Math.max(5_000, time.remainingMs() - LOOK_MS - ANSWER_RESERVE_MS),
  });
  engine.retryGuard.worldChanged();
  const change = readApplyOutcome(transcript);
  const profiles = await engine.workspace.hashProfiles(planned.file.folder);
  const profilesChanged = !isDeepStrictEqual(profiles, planned.profiles);
  const name = change.name ?? planned.plan.name ?? planned.head.name;
  const { project } = planned.request;
  const look =
    name === undefined
      ? undefined
      : await findResource(commands, { kind: kindOf(planned.head.type), name, project }).catch(() => undefined);
  const outcome = transcript.pinning === 'changed' || profilesChanged ? swapped : change;
  const status = look?.status;
  return {
    outcome: outcome.outcome,
    summary: `${outcome.message}${status === undefined ? '' : ` It is ${status}.`}`,
    printed: [{ transcript, keep: 'end' }],
    facts: {
      operation: planned.plan.action,
      resource: { kind: planned.head.type, name },
      project: planned.project,
      consent: `${consent.level}: ${describeLevel(consent.level)}`,
      ...(status === undefined ? {} : { status }),
    },
    next: outcome.hint,
  };
}

/** A file that was swapped in flight is an incident, whatever dstack said. */
const swapped: Pick<ChangeOutcome, 'outcome' | 'message' | 'hint'> = {
  outcome: 'unknown',
  message:
    'The configuration or a profile was changed while dstack read it: what was applied may not be what was approved.',
  hint: 'Show the user the present state with get, and ask what to do.',
};

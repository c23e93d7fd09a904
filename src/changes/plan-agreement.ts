import { joinParts } from '../core/format-values.ts';
import type { Report } from '../core/report.ts';
import { disclosureArgv } from '../safety/consent/remembered-consents.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { PreparedPlan } from './apply-plan.ts';
import { SHOW } from './preview-report.ts';
import type { ChangeFacts } from './change-facts.ts';
import type { AgreementPlan, PlanScope, SettledPlan } from './planned-change.ts';

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
    facts: { ...facts, consent: `${consent.level}: ${describeLevel(consent.level)}` },
    next: `${PLAN_AGAIN} doctor lists what was agreed to, and how to revoke it.`,
  };
}

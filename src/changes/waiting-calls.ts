import type { PendingChange, WaitingCall } from '../core/change.ts';
import { reportFailure } from '../core/report.ts';
import type { Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';

type AnyReport = Report<Record<string, unknown>>;

/** Starts the summary of a result that is returned again. */
export const usedBefore = (before = 'This token was used before'): string =>
  `${before}; nothing was done again. The result then: `;

/** Makes the calls that waited for the consent to use a run, and keeps their results. */
export class WaitingCalls {
  readonly #made = new WeakMap<PendingChange, Promise<AnyReport>>();

  /**
   * Makes the call that waited for a consent, after the redemption of its token: once, however often that is redeemed. Returns undefined
   * if there is none.
   */
  async make(
    change: PendingChange,
    { outcome, facts: { consent } }: Report<ChangeFacts>,
    make: (call: WaitingCall) => Promise<AnyReport>,
  ): Promise<AnyReport | undefined> {
    const call = change.request.tool === 'access' ? change.request.call : undefined;
    if (outcome !== 'done' || call === undefined) return undefined;
    const before = this.#made.get(change);
    if (before !== undefined) {
      const report = await before;
      return { ...report, summary: `${usedBefore()}${report.summary}` };
    }
    const made = makeOrReport(() => make(call)).then((report) => withConsent(report, change, consent));
    this.#made.set(change, made);
    return made;
  }
}

/** The consent is given by now, so a failure of the call is reported like its success. */
async function makeOrReport(make: () => Promise<AnyReport>): Promise<AnyReport> {
  try {
    return await make();
  } catch (error) {
    const report = reportFailure(error);
    if (report === undefined) throw error;
    return report;
  }
}

/**
 * Adds which consent is in force from now on, and how it was given; one for this call alone is spent. With details, the text doesn't show
 * it as a fact.
 */
const withConsent = (
  report: AnyReport,
  { request, summary }: PendingChange,
  consent: string | undefined,
): AnyReport => ({
  ...report,
  summary: 'use' in request ? report.summary : `${report.summary} ${summary.action.replace(/^Allow/, 'Allowed')}.`,
  ...(report.details === undefined ? {} : { details: [...report.details, `consent: ${consent ?? 'unknown'}`] }),
  facts: { ...report.facts, consent },
});

import type { PlanTerms } from '../core/card.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Consent } from '../safety/consent/consent.ts';
import type { PendingChange } from '../safety/consent/gate.ts';
import type { Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';

/** A change that was looked at: what would happen, and how it is done once there is consent. */
export interface PlannedChange {
  /** What dstack printed about it. */
  readonly printed: readonly Transcript[];
  readonly summary: string;
  readonly facts: Partial<ChangeFacts>;
  readonly next: string;
  /** Absent when there is nothing to do, or when it can't be done as things stand. */
  readonly pending?: PendingChange;
  /** For the card. */
  readonly terms?: PlanTerms;
  /** Why there is nothing to consent to. */
  readonly outcome?: 'nothing-to-do' | 'blocked' | 'unknown';
  /** Runs it, once, and looks where the resource stands then. */
  perform(consent: Consent): Promise<Report<ChangeFacts>>;
}

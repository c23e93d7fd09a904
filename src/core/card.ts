import type { Offer } from './offer.ts';
import type { ConsentSummary, Operation } from './change.ts';

/** The one card; what it shows depends on the result that it is given. */
export const CARD_URI = 'ui://dstack/card';
/** What MCP Apps calls a page that a host may show; a client that shows cards declares it. */
export const CARD_MIME_TYPE = 'text/html;profile=mcp-app';
/** Where a result carries what is for the card alone: hosts keep `_meta` from the model. */
export const CARD_META = 'dstack-mcp/card';

/** What a tool has to do with the card: its results are shown there, or it is what the card's buttons call. */
export type CardUse = 'change' | 'runs' | 'run' | 'offers' | 'buttons';

/** What a plan would cost, offer by offer: what the card sorts and multiplies. */
export interface PlanTerms {
  readonly offers: readonly Offer[];
  /** Shown or not. */
  readonly offersTotal: number;
  /** Absent where the plan doesn't say plainly how many. */
  readonly machines?: { readonly min: number; readonly max?: number };
  readonly maxDurationHours?: number;
}

/** A change that waits for a person's click; one by a plan has the terms of it. */
export interface ChangeCard extends Partial<PlanTerms> {
  readonly view: 'change';
  /** What redeems the token of the same change. */
  readonly tool: 'apply' | 'stop' | 'delete';
  /** What the buttons bring back. */
  readonly nonce: string;
  readonly expiresAt: string;
  /** The server's time, so that what is left doesn't hang on the host's clock. */
  readonly now: string;
  readonly operation: Operation;
  readonly summary: ConsentSummary;
  /** The name that has to be typed; absent where a click is enough. */
  readonly nameToType?: string;
}

/** What the card is told beside a tool's facts. `none`: there is nothing to show but the words. */
export type Card = ChangeCard | { readonly view: 'runs' | 'run' | 'offers' | 'none' };

/** A result that has none of these facts has nothing for its view to show. */
const SHOWN_FACTS = { runs: ['runs'], run: ['run'], offers: ['offers', 'gpus'] } as const;

/** What the card shows of a result; nothing where the tool's results aren't shown in one. */
export function cardOf(
  use: CardUse | undefined,
  result: { readonly facts: object; readonly card?: ChangeCard | undefined },
): Card | undefined {
  if (use === undefined || use === 'buttons') return undefined;
  if (use === 'change') return result.card ?? { view: 'none' };
  return { view: SHOWN_FACTS[use].some((fact) => Object.hasOwn(result.facts, fact)) ? use : 'none' };
}

/**
 * What the list of tools tells hosts: which card shows a tool's results, where one is served, and which tool is for the card's
 * buttons alone, always.
 */
export function describeCardUse(
  use: CardUse | undefined,
  isServed: boolean,
): { ui: { resourceUri: string } | { visibility: readonly string[] } } | undefined {
  if (use === 'buttons') return { ui: { visibility: ['app'] } };
  return use === undefined || !isServed ? undefined : { ui: { resourceUri: CARD_URI } };
}

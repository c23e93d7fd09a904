import type { Offer } from './dstack-terms.ts';
import type { ConsentSummary, Operation } from './change.ts';

/** The URI of the only card; what it shows depends on the result that it receives. */
export const CARD_URI = 'ui://dstack/card';
/** The MIME type of a page that MCP Apps hosts can show. Clients that show cards declare it. */
export const CARD_MIME_TYPE = 'text/html;profile=mcp-app';
/** The key in a result's `_meta` for data that only the card receives: hosts don't show `_meta` to the model. */
export const CARD_META = 'dstack-mcp/card';

/** Use of the card by a tool: its results are shown in the card, or the card's buttons call it. */
export type CardUse = 'change' | 'runs' | 'run' | 'offers' | 'use' | 'buttons';

/** The cost of a plan, by offer. The card sorts and multiplies these values. */
export interface PlanTerms {
  readonly offers: readonly Offer[];
  /** Includes offers that aren't listed. */
  readonly offersTotal: number;
  /** Absent if the plan doesn't state how many. */
  readonly machines?: { readonly min: number; readonly max?: number };
  /** The time that each machine can cost: running, stopping and idling. Absent without a known limit. */
  readonly time?: { readonly hours: number; readonly text: string };
}

/** A change that waits for a click. A plan's change includes its terms. */
export interface ChangeCard extends Partial<PlanTerms> {
  readonly view: 'change';
  /** Sent back by the buttons. */
  readonly nonce: string;
  readonly expiresAt: string;
  /** The server's time, so that the remaining time doesn't depend on the host's clock. */
  readonly now: string;
  readonly operation: Operation;
  readonly summary: ConsentSummary;
  /** The name that has to be typed; absent if a click is enough. */
  readonly nameToType?: string;
}

/** The data of a card, in addition to the tool's facts. `none`: only the text of the result is shown. */
export type Card = ChangeCard | { readonly view: 'runs' | 'run' | 'offers' | 'use' | 'none' };

/** The facts of each view. A view can't show a result that has none of them. */
const SHOWN_FACTS = { runs: ['runs'], run: ['run'], offers: ['offers', 'gpus'] } as const;

/** Returns the card of a result; undefined if the tool's results aren't shown in one. */
export function cardOf(
  use: CardUse | undefined,
  result: { readonly facts: object; readonly card?: ChangeCard | undefined },
): Card | undefined {
  if (use === undefined || use === 'buttons') return undefined;
  if (use === 'change') return result.card ?? { view: 'none' };
  // The first use of a run asks for consent.
  if (use === 'use') return result.card ?? { view: 'use' };
  return { view: SHOWN_FACTS[use].some((fact) => Object.hasOwn(result.facts, fact)) ? use : 'none' };
}

/** Returns a tool's `_meta` in the list of a client with cards: its results are shown in the card, or it is hidden from the model. */
export function describeCardUse(
  use: CardUse | undefined,
): { ui: { resourceUri: string } | { visibility: readonly string[] } } | undefined {
  if (use === 'buttons') return { ui: { visibility: ['app'] } };
  return use === undefined ? undefined : { ui: { resourceUri: CARD_URI } };
}

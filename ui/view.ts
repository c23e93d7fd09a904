import type { Formats } from './format.ts';
import type { Host } from './host.ts';
import type { Poller } from './poller.ts';

/** One page of the card. */
export interface View {
  readonly root: HTMLElement;
  /** Ends whatever it has running. */
  readonly end: () => void;
}

/** What every page works with. */
export interface Card {
  readonly host: Host;
  readonly formats: Formats;
  readonly poller: Poller;
  /** Shows a page in the place of the present one. */
  readonly open: (make: (card: Card) => View) => void;
}

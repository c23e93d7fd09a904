import type { Formats } from './format.ts';
import type { Host } from './host.ts';
import type { Poller } from './poller.ts';

/** A page or panel of the card. */
export interface View {
  readonly root: HTMLElement;
  /** Stops its polls and timers. */
  readonly end: () => void;
}

/** The services that every page uses. */
export interface Card {
  readonly host: Host;
  readonly formats: Formats;
  readonly poller: Poller;
  /** Replaces the current page. */
  readonly open: (make: (card: Card) => View) => void;
}

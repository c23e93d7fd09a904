import type { PollerWorld } from './poller.ts';

/** Whether somebody can see the card: its page is shown, and it isn't scrolled out of sight, as old cards of a conversation are. */
export function watchVisibility(card: Element): PollerWorld {
  let isInView = true;
  let tell = (): void => undefined;
  document.addEventListener('visibilitychange', () => tell());
  new IntersectionObserver((entries) => {
    const wasInView = isInView;
    isInView = entries.at(-1)?.isIntersecting ?? true;
    if (isInView !== wasInView) tell();
  }).observe(card);
  return {
    now: () => performance.now(),
    isHidden: () => document.hidden || !isInView,
    onVisibility(listener) {
      tell = listener;
    },
  };
}

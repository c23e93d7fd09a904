import type { Decided } from './consent-panel.ts';
import { data, el } from './dom.ts';
import type { Host } from './host.ts';
import { notice } from './parts.ts';
import { textOf } from './read.ts';

/** What came of a decision, in a box: the server's own words, and the next step where it isn't simply done. */
export function describeOutcome(decided: Decided): HTMLElement {
  const { title, tone, text, next } = readDecided(decided);
  return notice(
    tone,
    title,
    el('p', { attributes: { role: 'status' } }, data(text, 600)),
    next === undefined ? undefined : el('p', 'quiet', data(next, 600)),
  );
}

interface Told {
  readonly title: string;
  readonly tone: 'good' | 'bad' | 'careful' | 'plain';
  readonly text: string;
  readonly next?: string | undefined;
}

function readDecided(decided: Decided): Told {
  if (decided.kind === 'lost') {
    const text = `The answer to your click didn’t come (${decided.why}).`;
    return decided.decision === 'decline'
      ? { title: 'No answer', tone: 'careful', text, next: 'Nothing is done without an approval.' }
      : {
          title: 'Not known whether it was done',
          tone: 'careful',
          text,
          next: 'Look at what is there now before anything else.',
        };
  }
  const { decision, result } = decided;
  const text = textOf(result.facts, 'summary') ?? result.text;
  const next = textOf(result.facts, 'next');
  const outcome = textOf(result.facts, 'outcome');
  if (decision === 'decline') return { title: 'Declined', tone: 'plain', text };
  if (outcome === 'done') return { title: 'Approved by you', tone: 'good', text };
  if (outcome === 'nothing-to-do') return { title: 'Nothing to do', tone: 'plain', text, next };
  if (outcome === 'unknown') return { title: 'Not known whether it was done', tone: 'careful', text, next };
  return { title: 'Not done', tone: 'bad', text, next };
}

/** Tells the model what a person decided, since it doesn't see the card's calls; a host that has no way for it is left alone. */
export function tellModel(host: Host, action: string, decided: Decided): void {
  if (!host.can.tellModel) return;
  const { text } = readDecided(decided);
  const did = decided.decision === 'approve' ? 'approved' : 'declined';
  void host.tellModel(`In the card, the user ${did} this: ${action}. What came of it: ${text}`).catch(() => undefined);
}

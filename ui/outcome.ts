import type { DecisionResult } from './consent-panel.ts';
import { data, el } from './dom.ts';
import type { Host } from './host.ts';
import { notice } from './parts.ts';
import { textOf } from './read.ts';

/** Creates a box with the result of a decision: the server's summary, and the next step unless it is done. */
export function describeOutcome(decided: DecisionResult): HTMLElement {
  const { title, tone, text, next } = readDecision(decided);
  return notice(
    tone,
    title,
    el('div', { attributes: { role: 'status' } }, ...text.split('\n').map((line) => el('p', {}, data(line, 600)))),
    next === undefined ? undefined : el('p', 'quiet', data(next, 600)),
  );
}

interface Message {
  readonly title: string;
  readonly tone: 'good' | 'bad' | 'careful' | 'plain';
  readonly text: string;
  readonly next?: string | undefined;
}

function readDecision(decided: DecisionResult): Message {
  if (decided.kind === 'lost') {
    const text = `There was no answer to your click (${decided.why}).`;
    return decided.decision === 'decline'
      ? { title: 'No answer', tone: 'careful', text, next: 'Nothing is changed without approval.' }
      : {
          title: 'Outcome unknown',
          tone: 'careful',
          text,
          next: 'Check the current state before you try again.',
        };
  }
  const { decision, result } = decided;
  const text = textOf(result.facts, 'summary') ?? result.text;
  const next = textOf(result.facts, 'next');
  const outcome = textOf(result.facts, 'outcome');
  if (decision === 'decline') return { title: 'Declined', tone: 'plain', text };
  if (outcome === 'done') return { title: 'Approved by you', tone: 'good', text };
  if (outcome === 'nothing-to-do') return { title: 'Nothing to do', tone: 'plain', text, next };
  if (outcome === 'unknown') return { title: 'Outcome unknown', tone: 'careful', text, next };
  return { title: 'Not done', tone: 'bad', text, next };
}

/** Returns whether the approved change is known to be made. */
export const isMade = (decided: DecisionResult): boolean =>
  decided.kind !== 'lost' && textOf(decided.result.facts, 'outcome') === 'done';

/** Reports a person's decision to the model, which doesn't see the card's calls. Does nothing if the host doesn't support it. */
export function reportDecision(host: Host, action: string, decided: DecisionResult): void {
  if (!host.can.updateModelContext) return;
  const { text } = readDecision(decided);
  const verb = decided.decision === 'approve' ? 'approved' : 'declined';
  const message = `In the card, the user ${verb} this: ${action}. Result: ${text}`;
  void host.updateModelContext(message).catch(() => undefined);
}

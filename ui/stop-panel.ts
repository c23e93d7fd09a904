import { readChange } from './card-facts.ts';
import type { ChangeCard, PendingConsent } from './card-facts.ts';
import { createConsentPanel } from './consent-panel.ts';
import { button, el, fill, lines, setText } from './dom.ts';
import { describeOutcome, isMade, reportDecision } from './outcome.ts';
import { notice } from './parts.ts';
import { textOf } from './read.ts';
import type { Card, View } from './view.ts';

/** Creates the button that stops a run: it previews the stop, then asks the person for approval. */
export function createStopPanel(
  card: Card,
  { name, of, onStopped }: { name: string; of: { project?: string }; onStopped: () => void },
): View {
  const root = el('section', { class: 'stop', attributes: { 'aria-label': `Stop ${name}` } });
  const message = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const begin = button('Stop…', () => void preview(), { kind: 'small' });
  let consent: View | undefined;
  const close = (...shown: readonly HTMLElement[]): void => {
    consent?.end();
    consent = undefined;
    fill(root, ...shown);
  };
  const preview = async (): Promise<void> => {
    begin.disabled = true;
    setText(message, 'Checking what would be stopped…');
    const result = await card.host.callTool('stop', { run: name, ...of }).catch(messageOf);
    begin.disabled = false;
    const change = typeof result === 'string' ? undefined : readChange(result);
    if (typeof result === 'string') setText(message, `The request failed: ${result}. Nothing was changed.`);
    else if (change?.consent === undefined)
      setText(message, textOf(result.facts, 'summary') ?? 'This run cannot be stopped from here.');
    else open(change, change.consent);
  };
  const open = (change: ChangeCard, pending: PendingConsent): void => {
    setText(message, '');
    consent = createConsentPanel({
      host: card.host,
      consent: pending,
      isDestructive: true,
      labels: { approve: 'Stop it', decline: 'Keep it running' },
      onDecided(decided) {
        reportDecision(card.host, change.action, decided);
        if (decided.decision === 'approve' || decided.kind === 'lost') {
          // dstack's server can take a stop back. The next preview shows the state at that time.
          close(describeOutcome(decided), ...(isMade(decided) ? [] : [begin, message]));
          onStopped();
        } else close(begin, message);
      },
    });
    fill(root, notice('bad', change.action, lines(change.losses), consent.root));
  };
  close(begin, message);
  return { root, end: () => consent?.end() };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : 'no answer');

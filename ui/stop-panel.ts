import { readChange } from './card-facts.ts';
import type { ChangeCard, PendingConsent } from './card-facts.ts';
import { createConsentPanel } from './consent-panel.ts';
import { button, el, fill, lines, setText } from './dom.ts';
import { describeOutcome, tellModel } from './outcome.ts';
import { notice } from './parts.ts';
import { textOf } from './read.ts';
import type { Card, View } from './view.ts';

/** The button that stops a run: it asks the server what would be stopped, and a person for a consent of its own. */
export function createStopPanel(
  card: Card,
  { name, of, onStopped }: { name: string; of: { project?: string }; onStopped: () => void },
): View {
  const root = el('section', { class: 'stop', attributes: { 'aria-label': `Stop ${name}` } });
  const message = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const begin = button('Stop…', () => void ask(), { kind: 'small' });
  let consent: View | undefined;
  const close = (...shown: readonly HTMLElement[]): void => {
    consent?.end();
    consent = undefined;
    fill(root, ...shown);
  };
  const ask = async (): Promise<void> => {
    begin.disabled = true;
    setText(message, 'Looking at what would be stopped…');
    const found = await card.host.callTool('stop', { run: name, ...of }).catch(toWords);
    begin.disabled = false;
    const change = typeof found === 'string' ? undefined : readChange(found);
    if (typeof found === 'string') setText(message, `It couldn’t be asked for: ${found}`);
    else if (change?.consent === undefined)
      setText(message, textOf(found.facts, 'summary') ?? 'It can’t be stopped from here.');
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
        tellModel(card.host, change.action, decided);
        if (decided.decision === 'approve' || decided.kind === 'lost') {
          close(describeOutcome(decided));
          onStopped();
        } else close(begin, message);
      },
    });
    fill(root, notice('bad', change.action, lines(change.losses), consent.root));
  };
  close(begin, message);
  return { root, end: () => consent?.end() };
}

const toWords = (error: unknown): string => (error instanceof Error ? error.message : 'no answer');

import { readChange } from './card-facts.ts';
import { createConsentPanel } from './consent-panel.ts';
import { button, data, el, fill, setText } from './dom.ts';
import { describeOutcome, tellModel } from './outcome.ts';
import { lines } from './dom.ts';
import { textOf } from './read.ts';
import type { Card, View } from './view.ts';

/** The button that stops a run: it asks the server what would be stopped, and a person for a consent of its own. */
export function createStopPanel(card: Card, { name, of }: { name: string; of: { project?: string } }): View {
  const root = el('section', { class: 'stop', attributes: { 'aria-label': `Stop ${name}` } });
  let consent: View | undefined;
  const message = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const begin = button('Stop…', () => void ask(), { kind: 'small' });
  const close = (): void => {
    consent?.end();
    consent = undefined;
    fill(root, begin, message);
  };

  const ask = async (): Promise<void> => {
    begin.disabled = true;
    setText(message, 'Looking at what would be stopped…');
    try {
      const result = await card.host.callTool('stop', { run: name, ...of });
      const change = readChange(result);
      setText(
        message,
        change.consent === undefined ? (textOf(result.facts, 'summary') ?? 'It can’t be stopped from here.') : '',
      );
      if (change.consent === undefined) return;
      consent = createConsentPanel({
        host: card.host,
        consent: change.consent,
        isDestructive: true,
        labels: { approve: 'Stop it', decline: 'Keep it running' },
        onDecided(decided) {
          close();
          tellModel(card.host, change.action, decided);
          if (decided.decision === 'approve' || decided.kind === 'lost') fill(root, describeOutcome(decided));
        },
      });
      fill(
        root,
        el(
          'section',
          'notice bad',
          el('h2', 'notice-title', data(change.action, 200)),
          lines(change.losses),
          consent.root,
        ),
      );
    } catch (error) {
      setText(message, `It couldn’t be asked for: ${error instanceof Error ? error.message : 'no answer'}`);
    } finally {
      begin.disabled = false;
    }
  };
  close();
  return { root, end: () => consent?.end() };
}

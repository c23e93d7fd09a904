import { data, el, fill } from './dom.ts';
import type { PanelOptions } from './log-panel.ts';
import type { PollResult } from './poller.ts';
import { textOf } from './read.ts';
import { readEvents } from './run-facts.ts';
import type { View } from './view.ts';
import { unfence } from './visible-text.ts';

/** Creates the panel with a run's events, latest first. */
export function createEventsPanel({ card, name, of }: PanelOptions): View {
  const root = el('div', 'events', el('p', 'quiet', 'Loading…'));
  let seen = '';
  const poll = async (): Promise<PollResult> => {
    const { facts } = await card.host.callTool('event', { run: name, ...of });
    const output = unfence(textOf(facts, 'output') ?? '');
    if (output === seen && seen !== '') return 'same';
    seen = output;
    const events = readEvents(output);
    const nothing = textOf(facts, 'outcome') === 'done' ? 'No events yet.' : (textOf(facts, 'summary') ?? '');
    fill(
      root,
      events.length === 0
        ? el('p', 'quiet', data(nothing, 300))
        : el('ol', 'timeline', ...events.map(({ at, what }) => el('li', {}, el('time', {}, at), data(what, 300)))),
    );
    return 'changed';
  };
  const end = card.poller.add({ poll, firstMs: 4_000, maxMs: 20_000 });
  return { root, end };
}

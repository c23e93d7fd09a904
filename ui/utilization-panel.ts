import { drawHistory } from './chart.ts';
import { data, el, fill } from './dom.ts';
import type { PanelOptions } from './log-panel.ts';
import { readHistories } from './metrics-history.ts';
import type { History } from './metrics-history.ts';
import type { PollResult } from './poller.ts';
import { textOf } from './read.ts';
import type { View } from './view.ts';

const TITLES = { utilization: 'busy', memory: 'memory' } as const;

/** Creates the panel with charts of a run's processor use in the last hour. */
export function createUtilizationPanel({ card, name, of }: PanelOptions): View {
  const root = el('div', 'utilization', el('p', 'quiet', 'Loading…'));
  let seen = '';
  const poll = async (): Promise<PollResult> => {
    const { facts } = await card.host.callTool('metrics', { run: name, ...of });
    const histories = readHistories(facts);
    const now = JSON.stringify(histories);
    if (now === seen) return 'same';
    seen = now;
    const drawn = histories.filter(({ latest }) => latest !== undefined).map(drawOne);
    const nothing =
      textOf(facts, 'outcome') === 'done'
        ? 'No samples yet. The first ones arrive a few seconds after a job starts running.'
        : (textOf(facts, 'summary') ?? '');
    fill(
      root,
      drawn.length === 0 ? el('p', 'quiet', data(nothing, 300)) : el('div', 'charts', ...drawn),
      drawn.length === 0 ? undefined : el('p', 'quiet', 'Last hour, with the latest sample on the right.'),
    );
    return 'changed';
  };
  // dstack takes a sample every ten seconds.
  const end = card.poller.add({ poll, firstMs: 5_000, maxMs: 20_000 });
  return { root, end };
}

function drawOne({ label, measure, values, latest = '' }: History): HTMLElement {
  const description = `${label} ${TITLES[measure]}: ${latest} now`;
  return el(
    'figure',
    `chart ${measure}`,
    el('figcaption', {}, el('span', {}, data(label, 40), ` ${TITLES[measure]}`), el('strong', {}, latest)),
    drawHistory(values, description),
  );
}

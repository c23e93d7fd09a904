import { createConnectPanel } from './connect-panel.ts';
import { button, data, el, fill, setText, show } from './dom.ts';
import { createEventsPanel } from './events-panel.ts';
import { formatAge } from './format.ts';
import { createLogPanel } from './log-panel.ts';
import { figures, heading, liveRegion, notice, statusPill } from './parts.ts';
import type { Look } from './poller.ts';
import { textOf } from './read.ts';
import { isOver, runOf } from './run-facts.ts';
import type { RunDetails } from './run-facts.ts';
import { drawSteps } from './run-steps.ts';
import { createStopPanel } from './stop-panel.ts';
import { createTabs } from './tabs.ts';
import { createUtilizationPanel } from './utilization-panel.ts';
import type { Card, View } from './view.ts';

export interface RunPageOptions {
  readonly name: string;
  readonly project?: string | undefined;
  /** What is known of it already. */
  readonly known?: RunDetails | undefined;
  /** It stands inside a card that has a heading of its own. */
  readonly isInside?: boolean;
  readonly onBack?: () => void;
}

/** A run as it goes on: status, cost, image pull; logs, utilization, events, ways to it; and the button that stops it. */
export function createRunPage(card: Card, { name, project, known, isInside = false, onBack }: RunPageOptions): View {
  const of = project === undefined ? {} : { project };
  const where = { card, name, of };
  const state = el('div', 'run-state');
  const told = liveRegion();
  const stop = createStopPanel(card, { name, of });
  let run = known;
  let seen = '';

  const draw = (): void => {
    const now = JSON.stringify(run);
    if (run === undefined || now === seen) return;
    seen = now;
    setText(told, `Run ${name} is ${run.statusMessage ?? run.status}`);
    fill(state, ...describeRun(card, run));
    show(stop.root, !run.isFinished);
  };
  const look = async (): Promise<Look> => {
    const { facts, isError } = await card.host.callTool('get', { name, ...of });
    const found = runOf(facts);
    if (found === undefined) {
      if (isError && run === undefined)
        fill(state, notice('bad', 'It can’t be shown', data(textOf(facts, 'summary') ?? 'unknown', 400)));
      return 'same';
    }
    const isSame =
      run?.status === found.status && run.statusMessage === found.statusMessage && run.pull?.text === found.pull?.text;
    run = found;
    draw();
    return isOver(found.status) ? 'over' : isSame ? 'same' : 'changed';
  };
  const tabs = createTabs(`More about ${name}`, [
    { id: 'logs', label: 'Logs', open: () => createLogPanel(where) },
    { id: 'utilization', label: 'Utilization', open: () => createUtilizationPanel(where) },
    { id: 'events', label: 'Events', open: () => createEventsPanel(where) },
    { id: 'connect', label: 'Connect', open: () => createConnectPanel(card, name, () => run) },
  ]);
  draw();
  const endLooking = card.poller.add({
    look,
    firstMs: 2_000,
    maxMs: 15_000,
    onFailure: (why) => setText(told, `Not refreshed: ${why}`),
  });
  const back = onBack === undefined ? undefined : button('← All runs', onBack, { kind: 'link' });
  const title = isInside
    ? undefined
    : heading(
        ['Run', project === undefined ? undefined : el('span', {}, 'project ', data(project, 60))],
        data(name, 60),
      );
  return {
    root: el(isInside ? 'div' : 'main', 'page run', back, title, told, state, stop.root, tabs.root),
    end() {
      endLooking();
      tabs.end();
      stop.end();
    },
  };
}

function describeRun({ formats }: Card, run: RunDetails): readonly (HTMLElement | undefined)[] {
  const { status, statusMessage, pull, reason, jobs, pricePerHour, costUsd, machine, place, submittedAt, finishedAt } =
    run;
  const lasted =
    submittedAt === undefined
      ? undefined
      : formatAge(submittedAt, finishedAt === undefined ? Date.now() : Date.parse(finishedAt));
  return [
    drawSteps(run),
    pull === undefined
      ? undefined
      : el(
          'div',
          'pull',
          el('progress', { attributes: { max: '1', value: pull.share.toFixed(3), 'aria-label': 'Pulling the image' } }),
          el('p', 'quiet', `Pulling the image: ${pull.text}`),
        ),
    figures([
      { label: 'Status', value: statusPill(statusMessage ?? status) },
      costUsd === undefined
        ? undefined
        : { label: finishedAt === undefined ? 'Cost so far' : 'Cost', value: formats.money(costUsd) },
      pricePerHour === undefined ? undefined : { label: 'Per hour', value: formats.money(pricePerHour) },
      machine === undefined ? undefined : { label: 'Machine', value: data(machine, 60), note: place },
      lasted === undefined
        ? undefined
        : {
            label: finishedAt === undefined ? 'Age' : 'Took',
            value: lasted,
            note: submittedAt === undefined ? undefined : formats.date(submittedAt),
          },
    ]),
    reason === undefined || status === 'done'
      ? undefined
      : notice(status === 'failed' ? 'bad' : 'plain', 'Why it ended', el('p', {}, data(reason, 400))),
    jobs.length < 2
      ? undefined
      : el(
          'ul',
          'jobs',
          ...jobs
            .slice(0, 50)
            .map((job) =>
              el('li', {}, data(job.name, 60), ' ', statusPill(job.status), ' ', data(job.note ?? '', 120)),
            ),
        ),
  ];
}

import { createConnectPanel } from './connect-panel.ts';
import { button, data, el, fill, setText, show } from './dom.ts';
import { createEventsPanel } from './events-panel.ts';
import { formatAge } from './format.ts';
import { createLogPanel } from './log-panel.ts';
import { figures, heading, liveRegion, notice, statusPill } from './parts.ts';
import type { Figure } from './parts.ts';
import type { Look, PollTask } from './poller.ts';
import { optional, textOf } from './read.ts';
import { isOver, runOf } from './run-facts.ts';
import type { PullProgress, RunDetails } from './run-facts.ts';
import { drawSteps } from './run-steps.ts';
import { createStopPanel } from './stop-panel.ts';
import { createTabs } from './tabs.ts';
import { createUtilizationPanel } from './utilization-panel.ts';
import type { Card, View } from './view.ts';
import { shorten } from './visible-text.ts';

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
  const of = optional('project', project);
  const where = { card, name, of };
  // Who has stopped it wants to see that it stops, not what was seen some seconds ago.
  const stop = createStopPanel(card, { name, of, onStopped: () => looking.again() });
  const state = createRunState(card, name, (run) => show(stop.root, !run.isFinished));
  if (known !== undefined) state.take(known);
  const look = async (): Promise<Look> => {
    const { facts } = await card.host.callTool('get', { name, ...of });
    const run = runOf(facts);
    return run === undefined ? state.tellMissing(textOf(facts, 'summary')) : state.take(run);
  };
  const looking = startLooking(card, { look, firstMs: 2_000, maxMs: 15_000, onFailure: state.tellFailure });
  const tabs = createTabs(`More about ${shorten(name, 60)}`, [
    { id: 'logs', label: 'Logs', open: () => createLogPanel(where) },
    { id: 'utilization', label: 'Utilization', open: () => createUtilizationPanel(where) },
    { id: 'events', label: 'Events', open: () => createEventsPanel(where) },
    { id: 'connect', label: 'Connect', open: () => createConnectPanel(card, name, state.run) },
  ]);
  const back = onBack === undefined ? undefined : button('← All runs', onBack, { kind: 'link' });
  const over = ['Run', project === undefined ? undefined : el('span', {}, 'project ', data(project, 60))];
  const title = isInside ? undefined : heading(over, data(name, 60));
  return {
    root: el(isInside ? 'div' : 'main', 'page run', back, title, state.root, stop.root, tabs.root),
    end() {
      looking.end();
      tabs.end();
      stop.end();
    },
  };
}

function startLooking({ poller }: Card, task: PollTask): { again: () => void; end: () => void } {
  let end = poller.add(task);
  return {
    again() {
      end();
      end = poller.add(task);
    },
    end: () => end(),
  };
}

/** What is known of the run, drawn where it has changed and told to those who don't see it. */
function createRunState(card: Card, name: string, onRun: (run: RunDetails) => void) {
  const drawn = el('div', 'run-state');
  const told = liveRegion();
  let run: RunDetails | undefined;
  return {
    root: el('div', {}, told, drawn),
    run: () => run,
    tellFailure: (why: string): void => setText(told, `Not refreshed: ${why}`),
    /** A run that was there and can't be had now stays as it was seen last. */
    tellMissing(summary = 'It isn’t there.'): Look {
      if (run === undefined) fill(drawn, notice('bad', 'It can’t be shown', el('p', {}, data(summary, 400))));
      return 'same';
    },
    take(next: RunDetails): Look {
      const [before, now] = [run, next].map((one) => JSON.stringify([one?.status, one?.statusMessage, one?.pull]));
      if (JSON.stringify(run) !== JSON.stringify(next)) fill(drawn, ...describeRun(card, next));
      setText(told, `Run ${shorten(name, 60)} is ${shorten(next.statusMessage ?? next.status, 60)}`);
      run = next;
      onRun(next);
      if (isOver(next.status)) return 'over';
      return before === now ? 'same' : 'changed';
    },
  };
}

/** How long a run has gone on, or went on. */
function describeTime({ formats }: Card, { submittedAt, finishedAt }: RunDetails): Figure | undefined {
  if (submittedAt === undefined) return undefined;
  const until = finishedAt === undefined ? Date.now() : Date.parse(finishedAt);
  const label = finishedAt === undefined ? 'Age' : 'Took';
  return { label, value: formatAge(submittedAt, until), note: formats.date(submittedAt) };
}

function drawPull({ share, text }: PullProgress): HTMLElement {
  const attributes = { max: '1', value: share.toFixed(3), 'aria-label': 'Pulling the image' };
  return el('div', 'pull', el('progress', { attributes }), el('p', 'quiet', `Pulling the image: ${text}`));
}

function listJobs(jobs: RunDetails['jobs']): HTMLElement | undefined {
  if (jobs.length < 2) return undefined;
  const items = jobs
    .slice(0, 50)
    .map((job) => el('li', {}, data(job.name, 60), ' ', statusPill(job.status), ' ', data(job.note ?? '', 120)));
  return el('ul', 'jobs', ...items);
}

function describeRun(card: Card, run: RunDetails): readonly (HTMLElement | undefined)[] {
  const { money } = card.formats;
  const { status, statusMessage, pull, reason, jobs, pricePerHour, costUsd, machine, place, finishedAt } = run;
  const cost = finishedAt === undefined ? 'Cost so far' : 'Cost';
  const note = place === undefined ? undefined : shorten(place, 80);
  return [
    drawSteps(run),
    pull === undefined ? undefined : drawPull(pull),
    figures([
      { label: 'Status', value: statusPill(statusMessage ?? status) },
      costUsd === undefined ? undefined : { label: cost, value: money(costUsd) },
      pricePerHour === undefined ? undefined : { label: 'Per hour', value: money(pricePerHour) },
      machine === undefined ? undefined : { label: 'Machine', value: data(machine, 60), note },
      describeTime(card, run),
    ]),
    reason === undefined || status === 'done'
      ? undefined
      : notice(status === 'failed' ? 'bad' : 'plain', 'Why it ended', el('p', {}, data(reason, 400))),
    listJobs(jobs),
  ];
}

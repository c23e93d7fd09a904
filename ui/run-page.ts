import { createConnectPanel } from './connect-panel.ts';
import { button, data, el, fill, setText, show } from './dom.ts';
import { createEventsPanel } from './events-panel.ts';
import { formatAge, formatDollars } from './format.ts';
import { createLogPanel } from './log-panel.ts';
import { figures, heading, liveRegion, notice, progress, statusPill } from './parts.ts';
import type { Figure } from './parts.ts';
import type { PollResult, PollTask } from './poller.ts';
import { optional, textOf } from './read.ts';
import { isOver, runOf } from './run-facts.ts';
import type { RunDetails } from './run-facts.ts';

import { createStopPanel } from './stop-panel.ts';
import { createTabs } from './tabs.ts';
import { createUtilizationPanel } from './utilization-panel.ts';
import type { Card, View } from './view.ts';
import { shorten } from './visible-text.ts';

export interface RunPageOptions {
  readonly name: string;
  readonly project?: string | undefined;
  /** Details to show before the first poll. */
  readonly known?: RunDetails | undefined;
  /** Omits the heading, for a page that has one. */
  readonly isEmbedded?: boolean;
  readonly onBack?: () => void;
}

/** Creates the live page of a run: status, cost, image pull, tabs with more details, and the button that stops it. */
export function createRunPage(card: Card, { name, project, known, isEmbedded = false, onBack }: RunPageOptions): View {
  const of = optional('project', project);
  const panelOptions = { card, name, of };
  // Shows that the run is stopping without waiting for the next poll.
  const stop = createStopPanel(card, { name, of, onStopped: () => polling.restart() });
  const state = createRunState(card, name, (run) => show(stop.root, !run.isFinished));
  if (known !== undefined) state.update(known);
  const poll = async (): Promise<PollResult> => {
    const { facts } = await card.host.callTool('get', { name, ...of });
    const run = runOf(facts);
    return run === undefined ? state.showMissing(textOf(facts, 'summary')) : state.update(run);
  };
  const polling = startPolling(card, { poll, firstMs: 2_000, maxMs: 15_000, onFailure: state.showFailure });
  const tabs = createTabs(`More about ${shorten(name, 60)}`, [
    { id: 'logs', label: 'Logs', open: () => createLogPanel(panelOptions) },
    { id: 'utilization', label: 'Utilization', open: () => createUtilizationPanel(panelOptions) },
    { id: 'events', label: 'Events', open: () => createEventsPanel(panelOptions) },
    { id: 'connect', label: 'Connect', open: () => createConnectPanel(card, name, state.run) },
  ]);
  const back = onBack === undefined ? undefined : button('← All runs', onBack, { kind: 'link' });
  const over = ['Run', project === undefined ? undefined : el('span', {}, 'project ', data(project, 60))];
  const title = isEmbedded ? undefined : heading(over, data(name, 60));
  return {
    root: el(isEmbedded ? 'div' : 'main', 'page run', back, title, state.root, stop.root, tabs.root),
    end() {
      polling.end();
      tabs.end();
      stop.end();
    },
  };
}

function startPolling({ poller }: Card, task: PollTask): { restart: () => void; end: () => void } {
  let end = poller.add(task);
  return {
    restart() {
      end();
      end = poller.add(task);
    },
    end: () => end(),
  };
}

/** Creates the view of the run's state. Redraws it only when it changes, and announces its status to screen readers. */
function createRunState(card: Card, name: string, onRun: (run: RunDetails) => void) {
  const view = el('div', 'run-state');
  const announcement = liveRegion();
  let run: RunDetails | undefined;
  return {
    root: el('div', {}, announcement, view),
    run: () => run,
    showFailure: (why: string): void => setText(announcement, `Refresh failed: ${why}`),
    /** Keeps showing the last known state, if there is one. */
    showMissing(summary = 'Run not found.'): PollResult {
      if (run === undefined) fill(view, notice('bad', 'Cannot show this run', el('p', {}, data(summary, 400))));
      return 'same';
    },
    update(next: RunDetails): PollResult {
      const [before, now] = [run, next].map((one) => JSON.stringify([one?.status, one?.statusMessage, one?.pull]));
      if (JSON.stringify(run) !== JSON.stringify(next)) fill(view, ...describeRun(card, next));
      setText(announcement, `Run ${shorten(name, 60)} is ${shorten(next.statusMessage ?? next.status, 60)}`);
      run = next;
      onRun(next);
      if (isOver(next.status)) return 'over';
      return before === now ? 'same' : 'changed';
    },
  };
}

/** Returns the age of a run, or its duration once it has finished. */
function describeTime({ formats }: Card, { submittedAt, finishedAt }: RunDetails): Figure | undefined {
  if (submittedAt === undefined) return undefined;
  const until = finishedAt === undefined ? Date.now() : Date.parse(finishedAt);
  const label = finishedAt === undefined ? 'Age' : 'Duration';
  return { label, value: formatAge(submittedAt, until), note: formats.date(submittedAt) };
}

const STEPS = ['submitted', 'provisioning', 'pulling', 'running'] as const;
const STEP_LABELS: Readonly<Record<(typeof STEPS)[number], string>> = {
  submitted: 'Submitted',
  provisioning: 'Machine',
  pulling: 'Image',
  running: 'Running',
};

/** Returns the index of the startup step that a run has reached, or -1 if its status is none of them. */
function stepOf({ status, statusMessage }: RunDetails): number {
  const steps: readonly string[] = STEPS;
  const exact = steps.indexOf(statusMessage ?? status);
  return exact === -1 ? steps.indexOf(status === 'pending' ? 'submitted' : status) : exact;
}

/** Draws the startup steps of a run. Returns undefined once it has finished. */
function drawSteps(run: RunDetails): HTMLElement | undefined {
  const at = stepOf(run);
  if (at === -1 || run.isFinished) return undefined;
  const items = STEPS.map((step, index) => {
    const state = index < at ? 'past' : index === at ? (step === 'running' ? 'reached' : 'present') : 'ahead';
    const current = index === at ? 'step' : undefined;
    return el('li', { class: state, attributes: { 'aria-current': current } }, STEP_LABELS[step]);
  });
  return el('ol', { class: 'steps', attributes: { 'aria-label': 'Startup steps' } }, ...items);
}

function listJobs(jobs: RunDetails['jobs']): HTMLElement | undefined {
  if (jobs.length < 2) return undefined;
  const items = jobs
    .slice(0, 50)
    .map((job) => el('li', {}, data(job.name, 60), ' ', statusPill(job.status), ' ', data(job.note ?? '', 120)));
  return el('ul', 'jobs', ...items);
}

function describeRun(card: Card, run: RunDetails): readonly (HTMLElement | undefined)[] {
  const { status, statusMessage, pull, reason, jobs, pricePerHour, costUsd, machine, place, finishedAt } = run;
  const cost = finishedAt === undefined ? 'Cost so far' : 'Cost';
  const note = place === undefined ? undefined : shorten(place, 80);
  return [
    drawSteps(run),
    pull && progress(pull.share, { label: 'Pulling the image', text: `Pulling the image: ${pull.text}` }),
    figures([
      { label: 'Status', value: statusPill(statusMessage ?? status) },
      costUsd === undefined ? undefined : { label: cost, value: formatDollars(costUsd) },
      pricePerHour === undefined ? undefined : { label: 'Per hour', value: formatDollars(pricePerHour) },
      machine === undefined ? undefined : { label: 'Machine', value: data(machine, 60), note },
      describeTime(card, run),
    ]),
    reason === undefined || status === 'done'
      ? undefined
      : notice(status === 'failed' ? 'bad' : 'plain', 'Why it ended', el('p', {}, data(reason, 400))),
    listJobs(jobs),
  ];
}

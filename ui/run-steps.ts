import { el } from './dom.ts';
import type { RunDetails } from './run-facts.ts';

const STEPS = ['submitted', 'provisioning', 'pulling', 'running'] as const;
const LABELS: Readonly<Record<(typeof STEPS)[number], string>> = {
  submitted: 'Submitted',
  provisioning: 'Machine',
  pulling: 'Image',
  running: 'Running',
};

/** Which of the steps to a running job a run has come to; none where it is over or its status is none of them. */
function stepOf({ status, statusMessage }: RunDetails): number {
  const words: readonly string[] = STEPS;
  const exact = words.indexOf(statusMessage ?? status);
  return exact === -1 ? words.indexOf(status === 'pending' ? 'submitted' : status) : exact;
}

/** The way to a running job, with the step that it is at; nothing once it is over. */
export function drawSteps(run: RunDetails): HTMLElement | undefined {
  const at = stepOf(run);
  if (at === -1 || run.isFinished) return undefined;
  const items = STEPS.map((step, index) => {
    const state = index < at ? 'past' : index === at ? (step === 'running' ? 'reached' : 'present') : 'ahead';
    return el('li', { class: state, attributes: { 'aria-current': index === at ? 'step' : undefined } }, LABELS[step]);
  });
  return el('ol', { class: 'steps', attributes: { 'aria-label': 'The way to a running job' } }, ...items);
}

import type { ChangeCard } from './card-facts.ts';
import { createConsentPanel } from './consent-panel.ts';
import type { DecisionResult } from './consent-panel.ts';
import { data, el, fill, lines } from './dom.ts';
import { formatDollars, formatPriceRange } from './format.ts';
import type { ToolResult } from './tool-result.ts';
import { createOffersTable } from './offers-table.ts';
import { describeOutcome, reportDecision } from './outcome.ts';
import { disclosure, figures, heading, notice, noticeList, printout } from './parts.ts';
import { textOf, toFacts } from './read.ts';
import { createRunPage } from './run-page.ts';
import type { Card, View } from './view.ts';
import { shorten, unfence } from './visible-text.ts';

const DESTRUCTIVE: ReadonlySet<string> = new Set(['replace', 'stop', 'abort', 'delete']);
/** Few enough to keep the buttons in view. */
const INITIAL_OFFERS = 6;
const RUNS: ReadonlySet<string> = new Set(['run', 'task', 'service', 'dev-environment']);
const VERBS: ReadonlyMap<string, string> = new Map([
  ['create', 'New'],
  ['update', 'Update'],
  ['replace', 'Replace'],
  ['stop', 'Stop'],
  ['abort', 'Abort'],
  ['delete', 'Delete'],
  ['send', 'Consent'],
  ['access', 'Access'],
  ['none', 'No change'],
]);

/** Creates the page of a change: its effects, cost and losses with Approve and Decline, then its result. */
export function createChangePage(card: Card, change: ChangeCard, result: ToolResult): View {
  const parts: View[] = [];
  const root = el('main', 'page change', changeHeading(change), ...describeChange(change));
  const end = (): void => {
    for (const part of parts.splice(0)) part.end();
  };
  if (change.consent === undefined) {
    root.append(...explainMissingConsent(change, result));
  } else {
    const decision = el('section', { class: 'decision', attributes: { 'aria-label': 'Your decision' } });
    const panel = createConsentPanel({
      host: card.host,
      consent: change.consent,
      isDestructive: DESTRUCTIVE.has(change.operation),
      onDecided(decided) {
        end();
        reportDecision(card.host, change.action, decided);
        const { view, isFollowed } = showDecision(card, change, decided);
        parts.push(view);
        // A run that is followed replaces the plan.
        if (isFollowed) fill(root, changeHeading(change), view.root);
        else fill(decision, view.root);
      },
    });
    parts.push(panel);
    fill(decision, ...askForApproval(change), panel.root);
    root.append(decision);
  }
  const printed = unfence(textOf(result.facts, 'output') ?? '');
  if (printed !== '') root.append(disclosure('dstack output', printout('dstack output', printed)));
  return { root, end };
}

/** Asks for approval with the price in the same words as the plan. */
function askForApproval({ price }: ChangeCard): readonly (HTMLElement | undefined)[] {
  return [
    price === undefined ? undefined : el('p', 'price-question', 'Approve at ', el('strong', {}, price), '?'),
    el('p', 'quiet', 'Nothing is changed until you approve.'),
  ];
}

function changeHeading({ operation, kind, name, project, server, action }: ChangeCard): HTMLElement {
  const over = [
    el('span', `tag ${DESTRUCTIVE.has(operation) ? 'danger' : ''}`, VERBS.get(operation) ?? 'Plan'),
    el('span', {}, shorten(kind, 40), ' ', data(name ?? '', 60)),
    project === undefined ? undefined : el('span', {}, 'project ', data(project, 60)),
    server === undefined ? undefined : el('span', {}, data(server, 80)),
  ];
  return heading(over, data(action, 300));
}

function describeChange(change: ChangeCard): readonly HTMLElement[] {
  const { losses, access, machine, sends, warnings, changes, flags, offers } = change;
  const table = offers.length === 0 ? undefined : createOffersTable({ ...change, pageSize: INITIAL_OFFERS });
  const sections = [
    noticeList('bad', 'Will be stopped or lost', losses),
    noticeList('careful', 'Planning would', sends),
    noticeList('careful', 'Access', access),
    describeCosts(change),
    noticeList('careful', 'Warnings', warnings),
    section('Differences from the existing resource', lines(changes)),
    section('Flags that override the file', lines(flags)),
    machine === undefined
      ? undefined
      : el('p', 'quiet', 'Machine: ', data(machine, 200), '. dstack chooses again when it starts.'),
    section(`Offers (${offers.length} of ${Math.max(change.offersTotal, offers.length)})`, table?.root),
  ];
  table?.setRows(offers);
  return sections.filter((one) => one !== undefined);
}

function section(title: string, content: HTMLElement | undefined): HTMLElement | undefined {
  return content === undefined ? undefined : el('section', 'part', el('h2', {}, title), content);
}

function describeCosts(change: ChangeCard): HTMLElement | undefined {
  const { pricePerHour, mostPerHour, priceRange, totalPrice, hasNoLimit, machines, time, offers } = change;
  if (pricePerHour === undefined && offers.length === 0) return undefined;
  const many = machines === undefined || machines.max === 1 ? undefined : machines;
  const count =
    many === undefined ? '' : many.max === many.min ? `${many.min}` : `${many.min} – ${many.max ?? 'no limit'}`;
  const note = time === undefined ? 'in total' : `in ${time.text}, with stopping and idling`;
  return figures([
    {
      label: 'Per hour',
      value: pricePerHour === undefined ? 'Unknown' : formatDollars(pricePerHour),
      note: [
        many === undefined ? 'first available offer' : 'all nodes together',
        ...(mostPerHour === undefined || mostPerHour === pricePerHour ? [] : [`up to ${formatDollars(mostPerHour)}`]),
      ].join(', '),
    },
    totalPrice === undefined ? undefined : { label: 'At most', value: formatDollars(totalPrice), note },
    hasNoLimit ? { label: 'In total', value: 'No limit', note: 'until it ends or is stopped' } : undefined,
    priceRange === undefined
      ? undefined
      : { label: 'Offers', value: formatPriceRange(...priceRange), note: 'per hour and node' },
    many === undefined ? undefined : { label: 'Nodes', value: count },
  ]);
}

/** Explains why there is nothing to approve. */
function explainMissingConsent({ blockers }: ChangeCard, { facts }: ToolResult): readonly HTMLElement[] {
  const hints = blockers.map(({ message, hint }) => (hint === undefined ? message : `${message} ${hint}`));
  const isBlocked = textOf(facts, 'outcome') === 'blocked';
  const box = noticeList('bad', 'It can’t run right now', hints);
  if (box !== undefined) return [box];
  const next = textOf(facts, 'next');
  return [
    notice(
      isBlocked ? 'bad' : 'plain',
      isBlocked ? 'Blocked' : 'Nothing to approve',
      next === undefined ? undefined : el('p', {}, data(next, 600)),
    ),
  ];
}

/** Shows the result of a decision, and follows the run that it started, changed or stopped. */
function showDecision(card: Card, change: ChangeCard, decided: DecisionResult): { view: View; isFollowed: boolean } {
  const box = describeOutcome(decided);
  const outcome = decided.kind === 'answered' ? textOf(decided.result.facts, 'outcome') : 'unknown';
  const name = decided.kind === 'answered' ? (nameIn(decided.result) ?? change.name) : change.name;
  const isDone = decided.decision === 'approve' && (outcome === 'done' || outcome === 'unknown');
  if (!isDone || name === undefined || !RUNS.has(change.kind) || change.operation === 'delete')
    return { view: { root: box, end: () => undefined }, isFollowed: false };
  const page = createRunPage(card, { name, project: change.project, isEmbedded: true });
  return { view: { root: el('div', 'after', box, page.root), end: page.end }, isFollowed: true };
}

const nameIn = ({ facts }: ToolResult): string | undefined => textOf(toFacts(facts['resource']), 'name');

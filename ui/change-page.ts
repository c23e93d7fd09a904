import type { ChangeCard } from './card-facts.ts';
import { createConsentPanel } from './consent-panel.ts';
import type { Decided } from './consent-panel.ts';
import { data, el, fill, lines } from './dom.ts';
import type { ToolResult } from './tool-result.ts';
import { createOffersTable } from './offers-table.ts';
import { describeOutcome, tellModel } from './outcome.ts';
import { disclosure, figures, heading, notice, noticeList, printout } from './parts.ts';
import { textOf, toFacts } from './read.ts';
import { createRunPage } from './run-page.ts';
import type { Card, View } from './view.ts';
import { shorten, unfence } from './visible-text.ts';

const DESTRUCTIVE: ReadonlySet<string> = new Set(['replace', 'stop', 'abort', 'delete']);
/** A few, so that the buttons aren't far below; the others come at a press. */
const OFFERS_AT_FIRST = 6;
const RUNS: ReadonlySet<string> = new Set(['run', 'task', 'service', 'dev-environment']);
const VERBS: ReadonlyMap<string, string> = new Map([
  ['create', 'New'],
  ['update', 'Update'],
  ['replace', 'Replace'],
  ['stop', 'Stop'],
  ['abort', 'Abort'],
  ['delete', 'Delete'],
  ['none', 'No change'],
]);

/** A change: what would be done, what it costs and what would be lost, with Approve and Decline; then what came of it. */
export function createChangePage(card: Card, change: ChangeCard, result: ToolResult): View {
  const parts: View[] = [];
  const root = el('main', 'page change', changeHeading(change), ...describeChange(card, change));
  const end = (): void => {
    for (const part of parts.splice(0)) part.end();
  };
  if (change.consent === undefined) {
    root.append(...whyNothingWaits(change, result));
  } else {
    const decision = el('section', { class: 'decision', attributes: { 'aria-label': 'Your decision' } });
    const panel = createConsentPanel({
      host: card.host,
      consent: change.consent,
      isDestructive: DESTRUCTIVE.has(change.operation),
      onDecided(decided) {
        end();
        tellModel(card.host, change.action, decided);
        const { view, isGoingOn } = showDecided(card, change, decided);
        parts.push(view);
        // What was agreed to gives way to what came of it, where there is something to follow.
        if (isGoingOn) fill(root, changeHeading(change), view.root);
        else fill(decision, view.root);
      },
    });
    parts.push(panel);
    fill(decision, el('p', 'quiet', 'Nothing is done until you approve.'), panel.root);
    root.append(decision);
  }
  const printed = unfence(textOf(result.facts, 'output') ?? '');
  if (printed !== '') root.append(disclosure('What dstack printed', printout('What dstack printed', printed)));
  return { root, end };
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

function describeChange(card: Card, change: ChangeCard): readonly HTMLElement[] {
  const { losses, warnings, changes, flags, offers } = change;
  const table =
    offers.length === 0 ? undefined : createOffersTable(card.formats, { ...change, pageSize: OFFERS_AT_FIRST });
  const sections = [
    noticeList('bad', 'Will be stopped or lost', losses),
    describeMoney(card, change),
    noticeList('careful', 'Careful', warnings),
    section('What differs from what is there', lines(changes)),
    section('Flags that go before what the file says', lines(flags)),
    section(`Offers, ${offers.length} of ${Math.max(change.offersTotal, offers.length)}`, table?.root),
  ];
  table?.setRows(offers);
  return sections.filter((one) => one !== undefined);
}

function section(title: string, content: HTMLElement | undefined): HTMLElement | undefined {
  return content === undefined ? undefined : el('section', 'part', el('h2', {}, title), content);
}

function describeMoney({ formats }: Card, change: ChangeCard): HTMLElement | undefined {
  const { pricePerHour, priceRange, totalPrice, machines, maxDurationHours, offers, operation } = change;
  if (pricePerHour === undefined && offers.length === 0) return undefined;
  const many = machines === undefined || machines.max === 1 ? undefined : machines;
  const count =
    many === undefined ? '' : many.max === many.min ? `${many.min}` : `${many.min} – ${many.max ?? 'no limit'}`;
  const isEndless = totalPrice === undefined && (operation === 'create' || operation === 'replace');
  const note = maxDurationHours === undefined ? 'for its longest duration' : `for ${formats.hours(maxDurationHours)}`;
  return figures([
    {
      label: 'Per hour',
      value: pricePerHour === undefined ? 'not known' : formats.money(pricePerHour),
      note: many === undefined ? 'the first offer that is free' : 'all nodes together',
    },
    totalPrice === undefined ? undefined : { label: 'At most in total', value: formats.money(totalPrice), note },
    isEndless ? { label: 'In total', value: 'No limit', note: 'it runs until it ends or is stopped' } : undefined,
    priceRange === undefined
      ? undefined
      : {
          label: 'Offers',
          value:
            priceRange[0] === priceRange[1]
              ? formats.money(priceRange[0])
              : `${formats.money(priceRange[0])} – ${formats.money(priceRange[1])}`,
          note: 'per hour and node',
        },
    many === undefined ? undefined : { label: 'Nodes', value: count },
  ]);
}

/** Why there is nothing to approve: nothing to do, something in the way, or a result that was done by another way. */
function whyNothingWaits({ blockers }: ChangeCard, { facts }: ToolResult): readonly HTMLElement[] {
  const hints = blockers.map(({ message, hint }) => (hint === undefined ? message : `${message} ${hint}`));
  const isBlocked = textOf(facts, 'outcome') === 'blocked';
  const box = noticeList('bad', 'It can’t run as things stand', hints);
  if (box !== undefined) return [box];
  const next = textOf(facts, 'next');
  return [
    notice(
      isBlocked ? 'bad' : 'plain',
      isBlocked ? 'It can’t be done as things stand' : 'Nothing waits for you here',
      next === undefined ? undefined : el('p', {}, data(next, 600)),
    ),
  ];
}

/** What came of a decision; a run that was started, changed or stopped is followed. */
function showDecided(card: Card, change: ChangeCard, decided: Decided): { view: View; isGoingOn: boolean } {
  const box = describeOutcome(decided);
  const outcome = decided.kind === 'answered' ? textOf(decided.result.facts, 'outcome') : 'unknown';
  const name = decided.kind === 'answered' ? (nameIn(decided.result) ?? change.name) : change.name;
  const isDone = decided.decision === 'approve' && (outcome === 'done' || outcome === 'unknown');
  if (!isDone || name === undefined || !RUNS.has(change.kind) || change.operation === 'delete')
    return { view: { root: box, end: () => undefined }, isGoingOn: false };
  const page = createRunPage(card, { name, project: change.project, isInside: true });
  return { view: { root: el('div', 'after', box, page.root), end: page.end }, isGoingOn: true };
}

const nameIn = ({ facts }: ToolResult): string | undefined => textOf(toFacts(facts['resource']), 'name');

import { readChange, readView } from './card-facts.ts';
import type { CardView } from './card-facts.ts';
import { createChangePage } from './change-page.ts';
import { el, fill } from './dom.ts';
import { createFormats } from './format.ts';
import { connectHost } from './host.ts';
import type { Host, HostContext } from './host.ts';
import type { ToolResult } from './tool-result.ts';
import { createMessagePage } from './message-page.ts';
import { createOffersBoard } from './offers-board.ts';
import { createPoller } from './poller.ts';
import type { PollerEnvironment } from './poller.ts';
import { optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import { runOf } from './run-facts.ts';
import { createRunPage } from './run-page.ts';
import { createRunsBoard } from './runs-board.ts';
import { createUsePage, describeUse } from './use-page.ts';
import type { Card, View } from './view.ts';

const stage = el('div', 'stage', el('p', 'quiet waiting', 'Waiting for dstack…'));
document.body.append(stage);
const poller = createPoller(watchVisibility(stage));
let formats = createFormats();
let current: View | undefined;
let input: Facts = {};
// A host may send the result before the connection is set up.
let early: ToolResult | undefined;
let host: Host | undefined;

function open(make: (card: Card) => View): void {
  if (host === undefined) return;
  const isFirst = current === undefined;
  current?.end();
  current = make({ host, formats, poller, open });
  fill(stage, current.root);
  // Moves the focus on navigation only: a new card must not take it.
  if (!isFirst) current.root.querySelector('h1')?.focus();
}

const PAGES: Readonly<Record<CardView, (card: Card, result: ToolResult) => View>> = {
  change: (card, result) => createChangePage(card, readChange(result), result),
  runs: (card, result) => createRunsBoard(card, result, input),
  run: showRun,
  offers: createOffersBoard,
  use: (card, result) => createUsePage(card, result, input),
  none: (_card, result) => createMessagePage(result),
};

const showResult = (result: ToolResult): void => open((card) => PAGES[readView(result)](card, result));

function showRun(card: Card, result: ToolResult): View {
  const run = runOf(result.facts);
  if (run === undefined) return createMessagePage(result);
  const of = optional('project', textOf(input, 'project'));
  const onBack = (): void => card.open((inner) => createRunsBoard(inner, undefined, of));
  return createRunPage(card, { name: run.name, known: run, onBack, ...of });
}

/** Applies the host's locale, time zone, colors and fonts. Defaults to the system's theme. */
function applyContext({ theme, locale, timeZone, variables }: HostContext): void {
  formats = createFormats(locale, timeZone);
  const { style, dataset } = document.documentElement;
  dataset['theme'] = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  for (const name of Object.keys(variables)) {
    const value = textOf(variables, name);
    // Accepts only style variables of the specification, and no value that would load a resource.
    const isAllowed = /^--(?:color|font|border|shadow)-[a-z0-9-]+$/.test(name) && !/url\(|image\(/i.test(value ?? '');
    if (value !== undefined && isAllowed) style.setProperty(name, value);
  }
}

/** Watches whether the card is visible: its page is shown and it isn't scrolled out of view. */
function watchVisibility(card: Element): PollerEnvironment {
  let isInView = true;
  let notify = (): void => undefined;
  document.addEventListener('visibilitychange', () => notify());
  new IntersectionObserver((entries) => {
    const wasInView = isInView;
    isInView = entries.at(-1)?.isIntersecting ?? true;
    if (isInView !== wasInView) notify();
  }).observe(card);
  return {
    now: () => performance.now(),
    isHidden: () => document.hidden || !isInView,
    onVisibilityChange(listener) {
      notify = listener;
    },
  };
}

host = await connectHost({
  onContext: applyContext,
  onInput(given) {
    input = given;
    const use = describeUse(given);
    // Nothing is shown yet: a command or a copy may take minutes.
    if (use !== undefined && current === undefined) fill(stage, el('p', 'quiet waiting', `${use}…`));
  },
  onResult(result) {
    if (host === undefined) early = result;
    else showResult(result);
  },
  onTeardown: () => current?.end(),
  onCancelled() {
    const consequence =
      describeUse(input) === undefined
        ? 'Nothing was changed.'
        : 'Part of it may have been done: ask your assistant to check.';
    fill(stage, el('p', 'quiet waiting', `The call was canceled. ${consequence}`));
  },
});
if (early !== undefined) showResult(early);

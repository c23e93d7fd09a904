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
import { optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import { runOf } from './run-facts.ts';
import { createRunPage } from './run-page.ts';
import { createRunsBoard } from './runs-board.ts';
import { applyTheme } from './theme.ts';
import { watchVisibility } from './visibility.ts';
import type { Card, View } from './view.ts';

const stage = el('div', 'stage', el('p', 'quiet waiting', 'Waiting for dstack…'));
document.body.append(stage);
const poller = createPoller(watchVisibility(stage));
let formats = createFormats();
let current: View | undefined;
let input: Facts = {};
// A host may send the result in the same breath as its welcome.
let early: ToolResult | undefined;
let host: Host | undefined;

function open(make: (card: Card) => View): void {
  if (host === undefined) return;
  const isFirst = current === undefined;
  current?.end();
  current = make({ host, formats, poller, open });
  fill(stage, current.root);
  // Whoever went to another page by keyboard goes on reading there; a card that appears takes no focus.
  if (!isFirst) current.root.querySelector('h1')?.focus();
}

const PAGES: Readonly<Record<CardView, (card: Card, result: ToolResult) => View>> = {
  change: (card, result) => createChangePage(card, readChange(result), result),
  runs: (card, result) => createRunsBoard(card, result, input),
  run: showRun,
  offers: createOffersBoard,
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

function takeContext({ theme, locale, timeZone, variables }: HostContext): void {
  applyTheme(theme, variables);
  formats = createFormats(locale, timeZone);
}

host = await connectHost({
  onContext: takeContext,
  onInput(given) {
    input = given;
  },
  onResult(result) {
    if (host === undefined) early = result;
    else showResult(result);
  },
  onEnd: () => current?.end(),
  onCancelled: () => fill(stage, el('p', 'quiet waiting', 'The call was cancelled. Nothing was changed.')),
});
if (early !== undefined) showResult(early);

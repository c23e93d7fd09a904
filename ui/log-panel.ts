import { button, el, setText, show } from './dom.ts';
import { plural } from './format.ts';
import { createCheckbox, printout } from './parts.ts';
import type { PollResult } from './poller.ts';
import { numberOf, optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import type { Card, View } from './view.ts';
import { toVisible, unfence } from './visible-text.ts';

/** Options for the panels of a run. */
export interface PanelOptions {
  readonly card: Card;
  readonly name: string;
  readonly of: { readonly project?: string };
}

/** Log lines per request. */
const PAGE_LINES = 200;
/** Maximum length of the text in the page. Older lines are available through the button. */
const MAX_CHARS = 200_000;

/** Creates the panel that follows a run's log, with a button for earlier lines. */
export function createLogPanel(options: PanelOptions): View {
  const page = createLogView(options.name, () => void readEarlier().catch(() => undefined));
  let older: string | undefined;
  let earlier = '';
  let last = '';
  let firstLine: number | undefined;

  const poll = async (): Promise<PollResult> => {
    // Keeps earlier lines in place while the user reads them.
    if (earlier !== '' && !page.isFollowing()) return 'same';
    const { facts, text } = await readPage(options);
    page.setNote(describeLength(facts));
    if (text === last) return 'same';
    // Earlier pages end where the last page starts. Once that moves, they no longer adjoin it.
    if (numberOf(facts, 'firstLine') !== firstLine) earlier = '';
    firstLine = numberOf(facts, 'firstLine');
    if (earlier === '') older = textOf(facts, 'older');
    last = text;
    page.draw(`${earlier}${last}`, older !== undefined);
    return 'changed';
  };
  const readEarlier = async (): Promise<void> => {
    if (older === undefined) return;
    const { facts, text } = await readPage(options, older);
    earlier = `${text}${earlier}`;
    older = textOf(facts, 'older');
    page.stopFollowing();
    page.draw(`${earlier}${last}`, older !== undefined);
  };
  const end = options.card.poller.add({ poll, firstMs: 2_000, maxMs: 15_000 });
  return { root: page.root, end };
}

async function readPage({ card, name, of }: PanelOptions, cursor?: string): Promise<{ facts: Facts; text: string }> {
  const input = { run: name, lines: PAGE_LINES, ...of, ...optional('cursor', cursor) };
  const { facts } = await card.host.callTool('logs', input);
  const text = unfence(textOf(facts, 'output') ?? '').replace(/\n+$/, '');
  return { facts, text: textOf(facts, 'outcome') === 'done' && text !== '' ? `${text}\n` : '' };
}

/** Creates the log's text, which scrolls along until the user scrolls up, and its controls. */
function createLogView(name: string, onEarlier: () => void) {
  const output = printout(`Log of ${name}`);
  const note = el('p', 'quiet');
  const more = button('Earlier lines', onEarlier, { kind: 'small' });
  show(more, false);
  const toEnd = (): void => {
    output.scrollTop = output.scrollHeight;
  };
  const follow = createCheckbox('follow', 'Follow', (isChecked) => {
    if (isChecked) toEnd();
  });
  follow.input.checked = true;
  output.addEventListener('scroll', () => {
    follow.input.checked = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
  });
  return {
    root: el('div', 'log', el('div', 'panel-tools', more, follow.root, note), output),
    isFollowing: () => follow.input.checked,
    setNote: (text: string): void => setText(note, text),
    stopFollowing(): void {
      follow.input.checked = false;
      output.scrollTop = 0;
    },
    draw(text: string, hasMore: boolean): void {
      setText(output, text.slice(-MAX_CHARS));
      show(more, hasMore);
      if (follow.input.checked) toEnd();
    },
  };
}

function describeLength(facts: Facts): string {
  const total = numberOf(facts, 'totalLines');
  if (total === undefined) return toVisible(textOf(facts, 'summary') ?? '').slice(0, 300);
  return total === 0 ? 'No output yet.' : `${plural(total, 'line')}. Written by the job, not by dstack.`;
}

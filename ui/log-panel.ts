import { button, el, setText, show } from './dom.ts';
import { createCheckbox, printout } from './parts.ts';
import type { Look } from './poller.ts';
import { numberOf, optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import type { Card, View } from './view.ts';
import { toVisible, unfence } from './visible-text.ts';

/** Which run a panel is about. */
export interface PanelOptions {
  readonly card: Card;
  readonly name: string;
  readonly of: { readonly project?: string };
}

/** Lines of a log that are asked for at a time. */
const PAGE_LINES = 200;
/** Text that stays in the page at most; older lines are had again by their button. */
const MAX_CHARS = 200_000;

/** The last lines that a run printed, followed while they are looked at, and the earlier ones at the press of a button. */
export function createLogPanel(options: PanelOptions): View {
  const page = createLogView(options.name, () => void readEarlier().catch(() => undefined));
  let older: string | undefined;
  let earlier = '';
  let last = '';
  let firstLine: number | undefined;

  const look = async (): Promise<Look> => {
    // Whoever reads earlier lines isn't to lose them.
    if (earlier !== '' && !page.isFollowing()) return 'same';
    const { facts, text } = await readPage(options);
    page.say(describe(facts));
    if (text === last) return 'same';
    // Earlier pages end where the last one began; once it has moved on, they are had anew.
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
  const end = options.card.poller.add({ look, firstMs: 2_000, maxMs: 15_000 });
  return { root: page.root, end };
}

async function readPage({ card, name, of }: PanelOptions, cursor?: string): Promise<{ facts: Facts; text: string }> {
  const input = { run: name, lines: PAGE_LINES, ...of, ...optional('cursor', cursor) };
  const { facts } = await card.host.callTool('logs', input);
  const text = unfence(textOf(facts, 'output') ?? '').replace(/\n+$/, '');
  return { facts, text: textOf(facts, 'outcome') === 'done' && text !== '' ? `${text}\n` : '' };
}

/** The printout, which stays at its end until somebody scrolls up, with what is above it. */
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
    say: (words: string): void => setText(note, words),
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

function describe(facts: Facts): string {
  const total = numberOf(facts, 'totalLines');
  if (total === undefined) return toVisible(textOf(facts, 'summary') ?? '').slice(0, 300);
  return total === 0 ? 'Nothing was printed yet.' : `${total} lines. Written by the job, not by dstack.`;
}

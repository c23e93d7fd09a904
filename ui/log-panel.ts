import { button, el, setText, show } from './dom.ts';
import { createCheckbox, printout } from './parts.ts';
import type { Look } from './poller.ts';
import { numberOf, textOf } from './read.ts';
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
export function createLogPanel({ card, name, of }: PanelOptions): View {
  const output = printout(`Log of ${name}`);
  const note = el('p', 'quiet');
  let isFollowing = true;
  let older: string | undefined;
  let earlier = '';
  let last = '';
  let firstLine: number | undefined;

  const draw = (): void => {
    setText(output, `${earlier}${last}`.slice(-MAX_CHARS));
    show(more, older !== undefined);
    if (isFollowing) output.scrollTop = output.scrollHeight;
  };
  const read = async (cursor?: string): Promise<{ facts: Facts; text: string }> => {
    const { facts } = await card.host.callTool('logs', {
      run: name,
      lines: PAGE_LINES,
      ...of,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const text = unfence(textOf(facts, 'output') ?? '');
    return { facts, text: textOf(facts, 'outcome') === 'done' && text !== '' ? `${text.replace(/\n+$/, '')}\n` : '' };
  };
  const look = async (): Promise<Look> => {
    // Whoever reads earlier lines isn't to lose them.
    if (earlier !== '' && !isFollowing) return 'same';
    const { facts, text } = await read();
    setText(note, describe(facts));
    if (text === last) return 'same';
    // Earlier pages end where the last one began; once it has moved on, they are had anew.
    if (numberOf(facts, 'firstLine') !== firstLine) earlier = '';
    firstLine = numberOf(facts, 'firstLine');
    if (earlier === '') older = textOf(facts, 'older');
    last = text;
    draw();
    return 'changed';
  };
  const readEarlier = async (): Promise<void> => {
    if (older === undefined) return;
    const { facts, text } = await read(older);
    earlier = `${text}${earlier}`;
    older = textOf(facts, 'older');
    isFollowing = false;
    draw();
    output.scrollTop = 0;
  };
  const more = button('Earlier lines', () => void readEarlier().catch(() => undefined), { kind: 'small' });
  const follow = createCheckbox('follow', 'Follow', (isChecked) => {
    isFollowing = isChecked;
    draw();
  });
  follow.input.checked = true;
  output.addEventListener('scroll', () => {
    isFollowing = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
    follow.input.checked = isFollowing;
  });
  draw();
  const end = card.poller.add({ look, firstMs: 2_000, maxMs: 15_000 });
  const tools = el('div', 'panel-tools', more, follow.root, note);
  return { root: el('div', 'log', tools, output), end };
}

function describe(facts: Facts): string {
  const total = numberOf(facts, 'totalLines');
  if (total === undefined) return toVisible(textOf(facts, 'summary') ?? '').slice(0, 300);
  return total === 0 ? 'Nothing was printed yet.' : `${total} lines. Written by the job, not by dstack.`;
}

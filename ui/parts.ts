import { data, el, lines } from './dom.ts';
import type { Child } from './dom.ts';
import { toneOf } from './run-facts.ts';
import type { Tone } from './run-facts.ts';

/** A status as a word with a mark before it, whose shape says the same as its colour. */
export function statusPill(status: string, tone: Tone = toneOf(status)): HTMLElement {
  return el(
    'span',
    `status ${tone}`,
    el('span', { class: 'mark', attributes: { 'aria-hidden': 'true' } }),
    data(status, 40),
  );
}

/** A box that stands out: good and bad news, warnings. */
export function notice(
  tone: 'good' | 'bad' | 'careful' | 'plain',
  title: string,
  ...children: readonly Child[]
): HTMLElement {
  return el('section', `notice ${tone}`, el('h2', 'notice-title', title), ...children);
}

/** A box around a list; nothing where the list is empty. */
export function noticeList(
  tone: 'bad' | 'careful' | 'plain',
  title: string,
  texts: readonly string[],
): HTMLElement | undefined {
  return texts.length === 0 ? undefined : notice(tone, title, lines(texts));
}

/** One figure of a row of figures. */
export interface Figure {
  readonly label: string;
  readonly value: Child;
  readonly note?: string | undefined;
}

/** Figures side by side, the first of them the one that counts. */
export function figures(all: readonly (Figure | undefined)[]): HTMLElement {
  const known = all.filter((figure) => figure !== undefined);
  return el(
    'dl',
    'figures',
    ...known.map(({ label, value, note }) =>
      el(
        'div',
        'figure',
        el('dt', {}, label),
        el('dd', {}, el('span', 'value', value), note === undefined ? undefined : el('span', 'note', note)),
      ),
    ),
  );
}

/** The heading of a page: what it is about, small, above its name. */
export function heading(over: readonly Child[], title: Child): HTMLElement {
  return el(
    'header',
    'heading',
    over.length === 0 ? undefined : el('p', 'over', ...over),
    el('h1', { attributes: { tabindex: '-1' } }, title),
  );
}

/** Something that can be opened to see more. */
export function disclosure(title: string, content: HTMLElement): HTMLElement {
  return el('details', 'more', el('summary', {}, title), content);
}

/** Text as a program printed it, to be scrolled in. */
export function printout(label: string, text = ''): HTMLElement {
  return el('pre', { class: 'printout', attributes: { tabindex: '0', role: 'region', 'aria-label': label } }, text);
}

/** A place where changes are told to those who don't see them. */
export function liveRegion(): HTMLElement {
  return el('p', { class: 'unseen', attributes: { role: 'status', 'aria-live': 'polite' } });
}

/** A box to tick, with its words. */
export function createCheckbox(id: string, label: string, onChange: (isChecked: boolean) => void) {
  const input = el('input', { attributes: { type: 'checkbox', id } });
  input.addEventListener('change', () => onChange(input.checked));
  return { root: el('label', { class: 'check', attributes: { for: id } }, input, label), input };
}

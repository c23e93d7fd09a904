import { data, el, lines } from './dom.ts';
import type { Child } from './dom.ts';
import { toneOf } from './run-facts.ts';
import type { Tone } from './run-facts.ts';

/** Creates a status with a mark whose shape means the same as its color. */
export function statusPill(status: string, tone: Tone = toneOf(status)): HTMLElement {
  return el(
    'span',
    `status ${tone}`,
    el('span', { class: 'mark', attributes: { 'aria-hidden': 'true' } }),
    data(status, 40),
  );
}

/** Creates a highlighted box. */
export function notice(
  tone: 'good' | 'bad' | 'careful' | 'plain',
  title: string,
  ...children: readonly Child[]
): HTMLElement {
  return el('section', `notice ${tone}`, el('h2', 'notice-title', title), ...children);
}

/** Creates a highlighted box with a list. Returns undefined if the list is empty. */
export function noticeList(
  tone: 'bad' | 'careful' | 'plain',
  title: string,
  texts: readonly string[],
): HTMLElement | undefined {
  return texts.length === 0 ? undefined : notice(tone, title, lines(texts));
}

/** Creates a bar for a share from 0 to 1, with a text below it. */
export const progress = (
  share: number,
  { label, text }: { readonly label: string; readonly text: string },
): HTMLElement =>
  el(
    'div',
    'progress',
    el('progress', { attributes: { max: '1', value: share.toFixed(3), 'aria-label': label } }),
    el('p', 'quiet', text),
  );

/** A labeled value. */
export interface Figure {
  readonly label: string;
  readonly value: Child;
  readonly note?: string | undefined;
}

/** Creates a row of labeled values, with emphasis on the first. */
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

/** Creates a page heading: a title below a line of context. */
export function heading(over: readonly Child[], title: Child): HTMLElement {
  return el(
    'header',
    'heading',
    over.length === 0 ? undefined : el('p', 'over', ...over),
    el('h1', { attributes: { tabindex: '-1' } }, title),
  );
}

/** Creates a section that is collapsed at first. */
export function disclosure(title: string, content: HTMLElement): HTMLElement {
  return el('details', 'more', el('summary', {}, title), content);
}

/** Creates a scrollable box with a program's output. */
export function printout(label: string, text = ''): HTMLElement {
  return el('pre', { class: 'printout', attributes: { tabindex: '0', role: 'region', 'aria-label': label } }, text);
}

/** Creates an invisible region whose changes screen readers announce. */
export function liveRegion(): HTMLElement {
  return el('p', { class: 'unseen', attributes: { role: 'status', 'aria-live': 'polite' } });
}

/** Creates a checkbox with its label. */
export function createCheckbox(id: string, label: string, onChange: (isChecked: boolean) => void) {
  const input = el('input', { attributes: { type: 'checkbox', id } });
  input.addEventListener('change', () => onChange(input.checked));
  return { root: el('label', { class: 'check', attributes: { for: id } }, input, label), input };
}

/** Creates a search field. */
export function createSearch(label: string, onChange: () => void): HTMLInputElement {
  const attributes = { type: 'search', placeholder: label, 'aria-label': label, autocomplete: 'off' };
  const input = el('input', { class: 'search', attributes });
  input.addEventListener('input', onChange);
  return input;
}

/** Returns whether the texts contain each word of a search. */
export function matchesSearch(texts: readonly (string | undefined)[], search: string): boolean {
  const text = texts.join(' ').toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

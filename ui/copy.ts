import { button, data, el, setText } from './dom.ts';
import type { Host } from './host.ts';
import { toVisible } from './visible-text.ts';

/** What leads out of the card when it is pressed; all other addresses are shown only. */
const OPENABLE = /^(?:https?|vscode|cursor|windsurf|zed):\/\//;

/** A text with a button that copies it, as it is shown, and for addresses one that opens it; neither happens by itself. */
export function copyRow(host: Host, label: string, text: string): HTMLElement {
  const shown = toVisible(text);
  const copy = button(
    'Copy',
    () => {
      void tellCopied(copy, shown);
    },
    { kind: 'small', attributes: { 'aria-label': `Copy: ${label}` } },
  );
  const isOpenable = host.can.openLinks && OPENABLE.test(shown);
  const open = button('Open', () => void host.openLink(shown).catch(() => setText(open, 'The host said no')), {
    kind: 'small',
    attributes: { 'aria-label': `Open: ${label}` },
  });
  return el(
    'div',
    'copy-row',
    el('dt', {}, label),
    el('dd', {}, el('code', {}, data(shown, 300))),
    el('dd', 'copy-buttons', copy, isOpenable ? open : undefined),
  );
}

async function tellCopied(pressed: HTMLButtonElement, text: string): Promise<void> {
  setText(pressed, (await copyText(text)) ? 'Copied' : 'Select it by hand');
  setTimeout(() => setText(pressed, 'Copy'), 2_000);
}

/** Copies by the browser's clipboard where the host lets the card, else by the old way of selecting and copying. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const { activeElement } = document;
  const field = el('textarea', { class: 'unseen', attributes: { 'aria-hidden': 'true', tabindex: '-1' } });
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    // Hosts that give the card no clipboard still let a person's click copy a selection.
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    field.remove();
    if (activeElement instanceof HTMLElement) activeElement.focus();
  }
}

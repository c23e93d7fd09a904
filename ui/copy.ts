import { button, data, el, setText } from './dom.ts';
import type { Host } from './host.ts';
import { toVisible } from './visible-text.ts';

/** Addresses that get an Open button. All others are only shown. */
const OPENABLE = /^(?:https?|vscode|cursor|windsurf|zed):\/\//;

/** Creates a row with a text, a button that copies it as shown and, for addresses, a button that opens it. */
export function copyRow(host: Host, label: string, text: string): HTMLElement {
  const shown = toVisible(text);
  const copy = button(
    'Copy',
    () => {
      void copyAndConfirm(copy, shown);
    },
    { kind: 'small', attributes: { 'aria-label': `Copy: ${label}` } },
  );
  const isOpenable = host.can.openLinks && OPENABLE.test(shown);
  const open = button('Open', () => void host.openLink(shown).catch(() => setText(open, 'Rejected by the host')), {
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

async function copyAndConfirm(pressed: HTMLButtonElement, text: string): Promise<void> {
  setText(pressed, (await copyText(text)) ? 'Copied' : 'Select and copy it manually');
  setTimeout(() => setText(pressed, 'Copy'), 2_000);
}

/** Copies with the Clipboard API where the host allows it, otherwise by selecting the text and copying the selection. */
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
    // Hosts that deny the Clipboard API still allow a click to copy a selection.
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    field.remove();
    if (activeElement instanceof HTMLElement) activeElement.focus();
  }
}

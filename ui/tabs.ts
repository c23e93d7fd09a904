import { el, fill } from './dom.ts';
import type { View } from './view.ts';

/** One tab. Its panel is created when the tab opens and ended when another one does. */
export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly open: () => View;
}

/** Creates tabs with arrow-key navigation and one open panel at a time. */
export function createTabs(label: string, tabs: readonly Tab[]): View {
  let current: View | undefined;
  const panel = el('div', { class: 'panel', attributes: { role: 'tabpanel', id: 'panel', tabindex: '-1' } });
  const buttons = tabs.map((tab) => {
    const one = el(
      'button',
      { class: 'tab', attributes: { type: 'button', role: 'tab', id: `tab-${tab.id}`, 'aria-controls': 'panel' } },
      tab.label,
    );
    one.addEventListener('click', (event) => {
      if (event.isTrusted) select(tab);
    });
    return one;
  });
  const list = el('div', { class: 'tabs', attributes: { role: 'tablist', 'aria-label': label } }, ...buttons);
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = buttons.findIndex((one) => one === document.activeElement);
    if (step === undefined || at === -1) return;
    const next = (at + step + tabs.length) % tabs.length;
    buttons[next]?.focus();
    const tab = tabs[next];
    if (event.isTrusted && tab !== undefined) select(tab);
  });
  const select = (tab: Tab): void => {
    current?.end();
    for (const [index, one] of buttons.entries()) {
      const isSelected = tabs[index] === tab;
      one.setAttribute('aria-selected', String(isSelected));
      one.tabIndex = isSelected ? 0 : -1;
    }
    panel.setAttribute('aria-labelledby', `tab-${tab.id}`);
    current = tab.open();
    fill(panel, current.root);
  };
  const [first] = tabs;
  if (first !== undefined) select(first);
  return { root: el('div', 'tabbed', list, panel), end: () => current?.end() };
}

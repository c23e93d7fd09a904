import { cutStart, toVisible } from './visible-text.ts';

/** The content of an element. Strings become text with invisible characters made visible, never markup. */
export type Child = Node | string | undefined;

export interface Props {
  readonly class?: string;
  readonly attributes?: Readonly<Record<string, string | undefined>>;
}

/** Creates an element. Its strings never become markup. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props | string = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const { class: className, attributes = {} } = typeof props === 'string' ? { class: props } : props;
  if (className !== undefined && className !== '') element.className = className;
  setAttributes(element, attributes);
  fill(element, ...children);
  return element;
}

/** Creates an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, toVisible(String(value)));
  fill(element, ...children);
  return element;
}

/** Replaces all children of an element. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(
    ...children.flatMap((child) => (child === undefined ? [] : [typeof child === 'string' ? toVisible(child) : child])),
  );
}

/** Sets an element's text only if it differs, since screen readers announce every change. */
export function setText(element: Element, text: string): void {
  const visible = toVisible(text);
  if (element.textContent !== visible) element.textContent = visible;
}

function setAttributes(element: Element, attributes: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, toVisible(value));
  }
}

/** Creates a button. Ignores clicks made by scripts. */
export function button(
  label: Child,
  onPress: (event: MouseEvent) => void,
  { kind = 'plain', attributes = {} }: { kind?: string; attributes?: Props['attributes'] } = {},
): HTMLButtonElement {
  const element = el('button', { class: `button ${kind}`, attributes: { type: 'button', ...attributes } }, label);
  element.addEventListener('click', (event) => {
    if (event.isTrusted) onPress(event);
  });
  return element;
}

/** Creates an element for untrusted text: isolated from its surroundings, and truncated with a button that shows all of it. */
export function data(text: string, maxLength = 160): HTMLElement {
  const visible = toVisible(text);
  const start = cutStart(visible, maxLength);
  if (start === undefined) return el('bdi', 'data', visible);
  const shown = el('bdi', 'data', start);
  let isWhole = false;
  const toggle = button(
    'Show all',
    () => {
      isWhole = !isWhole;
      setText(shown, isWhole ? visible : start);
      setText(toggle, isWhole ? 'Show less' : 'Show all');
      toggle.setAttribute('aria-expanded', String(isWhole));
    },
    { kind: 'link', attributes: { 'aria-expanded': 'false' } },
  );
  return el('span', 'cut', shown, ' ', toggle);
}

/** Creates a list with one item per text. Returns undefined if there are none. */
export function lines(texts: readonly string[], className = 'lines'): HTMLElement | undefined {
  return texts.length === 0 ? undefined : el('ul', className, ...texts.map((text) => el('li', {}, data(text, 2_000))));
}

/** Shows or hides an element. */
export function show(element: HTMLElement, isShown: boolean): void {
  element.hidden = !isShown;
}

import type { PendingConsent } from './card-facts.ts';
import { button, el, fill, setText, show } from './dom.ts';
import { formatClock } from './format.ts';
import type { Host } from './host.ts';
import type { ToolResult } from './tool-result.ts';
import { textOf } from './read.ts';
import type { View } from './view.ts';

export type Decision = 'approve' | 'decline';

/** What came of a decision: the server's word on it, or that none came. */
export type Decided =
  | { readonly kind: 'answered'; readonly decision: Decision; readonly result: ToolResult }
  | { readonly kind: 'lost'; readonly decision: Decision; readonly why: string };

export interface ConsentPanelOptions {
  readonly host: Host;
  readonly consent: PendingConsent;
  /** Running work or data would go: the button says so by its colour. */
  readonly isDestructive: boolean;
  readonly labels?: Readonly<Record<Decision, string>>;
  readonly onDecided: (decided: Decided) => void;
}

/** How long a card has to be seen before it can be approved: a click that was meant for what stood there before is none. */
const ARMING_MS = 500;

type State =
  | { readonly kind: 'arming' | 'open' }
  | { readonly kind: 'asking'; readonly decision: Decision }
  | { readonly kind: 'expired' };

/** Approve and Decline, with the time that is left and, where it takes one, the name to be typed. */
export function createConsentPanel({ host, consent, isDestructive, labels, onDecided }: ConsentPanelOptions): View {
  let state: State = { kind: 'arming' };
  const message = el('p', { class: 'consent-message', attributes: { role: 'status' } });
  const timer = el('span', { class: 'timer', attributes: { role: 'timer' } });
  const name = createNameField(consent.nameToType, () => draw());
  const approve = el('button', {
    class: `button ${isDestructive ? 'danger' : 'primary'}`,
    attributes: { type: 'button' },
  });
  const decline = button('', () => void decide('decline'));
  setText(approve, labels?.approve ?? 'Approve');
  setText(decline, labels?.decline ?? 'Decline');
  approve.addEventListener('click', (event) => {
    if (event.isTrusted) void decide('approve');
    else setText(message, 'A click that a script made was refused. Nothing was changed.');
  });

  const draw = (): void => {
    const isOpen = state.kind === 'open';
    approve.disabled = !isOpen || !name.isRight();
    decline.disabled = !isOpen;
    name.input.disabled = state.kind === 'asking' || state.kind === 'expired';
    show(timer, state.kind !== 'asking');
  };
  const setState = (next: State): void => {
    state = next;
    draw();
  };

  const decide = async (decision: Decision): Promise<void> => {
    if (state.kind !== 'open' || (decision === 'approve' && !name.isRight())) return;
    setState({ kind: 'asking', decision });
    setText(message, decision === 'approve' ? 'Looking at it once more, then doing it…' : 'Declining…');
    const typed = decision === 'approve' && consent.nameToType !== undefined ? { name: name.input.value } : {};
    try {
      const result = await host.callTool('decide', { nonce: consent.nonce, decision, ...typed });
      if (textOf(result.facts, 'code') === 'wrong-name') {
        setText(message, textOf(result.facts, 'summary') ?? 'The name is another one. Nothing was changed.');
        setState({ kind: 'open' });
      } else onDecided({ kind: 'answered', decision, result });
    } catch (error) {
      onDecided({ kind: 'lost', decision, why: error instanceof Error ? error.message : 'no answer' });
    }
  };

  const clock = startClock(consent, {
    onTick: (leftMs) => setText(timer, `Expires in ${formatClock(leftMs)}`),
    onEnd() {
      if (state.kind === 'asking') return;
      setText(timer, 'Expired');
      setText(message, 'The time for this is over, and nothing was changed. Ask for it anew to get a new card.');
      setState({ kind: 'expired' });
    },
  });
  const arming = setTimeout(() => {
    if (state.kind === 'arming') setState({ kind: 'open' });
  }, ARMING_MS);
  draw();
  return {
    root: el('div', 'consent', name.root, el('div', 'buttons', approve, decline, timer), message),
    end() {
      clearTimeout(arming);
      clock.end();
    },
  };
}

function createNameField(wanted: string | undefined, onInput: () => void) {
  const input = el('input', {
    attributes: { type: 'text', id: 'name-to-type', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' },
  });
  input.addEventListener('input', onInput);
  const label = el('label', { attributes: { for: 'name-to-type' } });
  fill(label, 'Type ', el('strong', 'data', wanted ?? ''), ' to approve');
  const root = el('div', 'name-field', label, input);
  show(root, wanted !== undefined);
  return { root, input, isRight: () => wanted === undefined || input.value === wanted };
}

/** Counts down by the server's clock since the result came, and by the wall: whichever says first that it is over is believed. */
function startClock(
  { expiresAt, now }: PendingConsent,
  { onTick, onEnd }: { onTick: (leftMs: number) => void; onEnd: () => void },
): { end: () => void } {
  const since = performance.now();
  const leftMs = (): number => Math.min(expiresAt - now - (performance.now() - since), expiresAt - Date.now());
  const timer = setInterval(() => tick(), 1_000);
  const tick = (): void => {
    const left = leftMs();
    if (left > 0) {
      onTick(left);
      return;
    }
    clearInterval(timer);
    onEnd();
  };
  // The one who asks has to have the panel first.
  queueMicrotask(tick);
  return { end: () => clearInterval(timer) };
}

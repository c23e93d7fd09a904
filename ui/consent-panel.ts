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
export function createConsentPanel(options: ConsentPanelOptions): View {
  const { consent, onDecided } = options;
  let state: State = { kind: 'arming' };
  const controls = createControls(options, {
    onInput: () => controls.draw(state),
    onPress: (decision) => void decide(decision),
  });
  const setState = (next: State, words?: string): void => {
    state = next;
    if (words !== undefined) controls.say(words);
    controls.draw(state);
  };
  const decide = async (decision: Decision): Promise<void> => {
    if (state.kind !== 'open' || (decision === 'approve' && !controls.hasName())) return;
    setState(
      { kind: 'asking', decision },
      decision === 'approve' ? 'Looking at it once more, then doing it…' : 'Declining…',
    );
    const decided = await askServer(options, decision, controls.name());
    if (decided.kind === 'wrong-name') setState({ kind: 'open' }, decided.words);
    else onDecided(decided);
  };
  const clock = startClock(consent, {
    onTick: controls.tellTime,
    onEnd() {
      if (state.kind === 'asking') return;
      controls.tellTime(0);
      setState(
        { kind: 'expired' },
        'The time for this is over, and nothing was changed. Ask for it anew to get a new card.',
      );
    },
  });
  const arming = setTimeout(() => {
    if (state.kind === 'arming') setState({ kind: 'open' });
  }, ARMING_MS);
  controls.draw(state);
  return {
    root: controls.root,
    end() {
      clearTimeout(arming);
      clock.end();
    },
  };
}

/** Brings the nonce back with what was pressed; a name that was mistyped leaves the choice open. */
async function askServer(
  { host, consent: { nonce, nameToType } }: ConsentPanelOptions,
  decision: Decision,
  typed: string,
): Promise<Decided | { readonly kind: 'wrong-name'; readonly words: string }> {
  const name = decision === 'approve' && nameToType !== undefined ? { name: typed } : {};
  try {
    const result = await host.callTool('decide', { nonce, decision, ...name });
    if (textOf(result.facts, 'code') !== 'wrong-name') return { kind: 'answered', decision, result };
    return {
      kind: 'wrong-name',
      words: textOf(result.facts, 'summary') ?? 'That is another name. Nothing was changed.',
    };
  } catch (error) {
    return { kind: 'lost', decision, why: error instanceof Error ? error.message : 'no answer' };
  }
}

/** What is seen and pressed; what it means is the panel's. */
function createControls(
  { consent, isDestructive, labels }: ConsentPanelOptions,
  { onInput, onPress }: { onInput: () => void; onPress: (decision: Decision) => void },
) {
  const message = el('p', { class: 'consent-message', attributes: { role: 'status' } });
  const timer = el('span', { class: 'timer', attributes: { role: 'timer' } });
  const name = createNameField(consent.nameToType, onInput);
  const kind = isDestructive ? 'danger' : 'primary';
  const approve = el(
    'button',
    { class: `button ${kind}`, attributes: { type: 'button' } },
    labels?.approve ?? 'Approve',
  );
  const decline = button(labels?.decline ?? 'Decline', () => onPress('decline'));
  approve.addEventListener('click', (event) => {
    if (event.isTrusted) onPress('approve');
    else setText(message, 'A click that a script made was refused. Nothing was changed.');
  });
  return {
    root: el('div', 'consent', name.root, el('div', 'buttons', approve, decline, timer), message),
    hasName: name.isRight,
    name: () => name.input.value,
    say: (words: string): void => setText(message, words),
    tellTime: (leftMs: number): void => setText(timer, leftMs > 0 ? `Expires in ${formatClock(leftMs)}` : 'Expired'),
    draw({ kind: now }: State): void {
      approve.disabled = now !== 'open' || !name.isRight();
      decline.disabled = now !== 'open';
      name.input.disabled = now === 'asking' || now === 'expired';
      show(timer, now !== 'asking');
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

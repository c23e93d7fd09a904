import type { PendingConsent } from './card-facts.ts';
import { button, el, fill, setText, show } from './dom.ts';
import { formatClock } from './format.ts';
import type { Host } from './host.ts';
import type { ToolResult } from './tool-result.ts';
import { textOf } from './read.ts';
import type { View } from './view.ts';

export type Decision = 'approve' | 'decline';

/** The server's answer to a decision, or the reason why there is none. */
export type DecisionResult =
  | { readonly kind: 'answered'; readonly decision: Decision; readonly result: ToolResult }
  | { readonly kind: 'lost'; readonly decision: Decision; readonly why: string };

export interface ConsentPanelOptions {
  readonly host: Host;
  readonly consent: PendingConsent;
  /** Whether running work or data would be lost. Colors the button. */
  readonly isDestructive: boolean;
  readonly labels?: Readonly<Record<Decision, string>>;
  readonly onDecided: (decided: DecisionResult) => void;
}

/** Delay before Approve is enabled, so that a click meant for earlier content can't approve the change. */
const ARMING_MS = 500;

type State =
  | { readonly kind: 'arming' | 'open' }
  | { readonly kind: 'asking'; readonly decision: Decision }
  | { readonly kind: 'expired' };

/** Creates the Approve and Decline buttons with the time left and, for destructive changes, the field for the name. */
export function createConsentPanel(options: ConsentPanelOptions): View {
  const { consent, onDecided } = options;
  let state: State = { kind: 'arming' };
  const controls = createControls(options, {
    onInput: () => controls.draw(state),
    onPress: (decision) => void decide(decision),
  });
  const setState = (next: State, message?: string): void => {
    state = next;
    if (message !== undefined) controls.setMessage(message);
    controls.draw(state);
  };
  const decide = async (decision: Decision): Promise<void> => {
    if (state.kind !== 'open' || (decision === 'approve' && !controls.hasName())) return;
    setState(
      { kind: 'asking', decision },
      decision === 'approve' ? 'Re-checking the plan, then applying…' : 'Declining…',
    );
    const decided = await sendDecision(options, decision, controls.name());
    if (decided.kind === 'wrong-name') setState({ kind: 'open' }, decided.message);
    else onDecided(decided);
  };
  const clock = startClock(consent, {
    onTick: controls.showTime,
    onEnd() {
      if (state.kind === 'asking') return;
      controls.showTime(0);
      setState({ kind: 'expired' }, 'This plan has expired; nothing was changed. Ask for a new plan.');
    },
  });
  const arming = setTimeout(() => {
    if (state.kind === 'arming') setState({ kind: 'open' });
  }, ARMING_MS);
  controls.draw(state);
  const painting = afterPaint(() => void reportShown(options));
  return {
    root: controls.root,
    end() {
      painting.cancel();
      clearTimeout(arming);
      clock.end();
    },
  };
}

/** Calls back once the next frame is on the screen; a page that isn't visible has no frames. */
function afterPaint(painted: () => void): { readonly cancel: () => void } {
  let frame = requestAnimationFrame(() => {
    frame = requestAnimationFrame(painted);
  });
  return { cancel: () => cancelAnimationFrame(frame) };
}

/** Tells the server that a person can click here: it waits for a card only once it is shown. */
async function reportShown({ host, consent: { nonce } }: ConsentPanelOptions): Promise<void> {
  await host.callTool('decide', { nonce, decision: 'shown' }).catch(() => undefined);
}

/** Sends the decision with the nonce. A mistyped name leaves the decision open. */
async function sendDecision(
  { host, consent: { nonce, nameToType } }: ConsentPanelOptions,
  decision: Decision,
  typed: string,
): Promise<DecisionResult | { readonly kind: 'wrong-name'; readonly message: string }> {
  const name = decision === 'approve' && nameToType !== undefined ? { name: typed } : {};
  try {
    const result = await host.callTool('decide', { nonce, decision, ...name });
    if (textOf(result.facts, 'code') !== 'wrong-name') return { kind: 'answered', decision, result };
    return {
      kind: 'wrong-name',
      message: textOf(result.facts, 'summary') ?? 'The name does not match. Nothing was changed.',
    };
  } catch (error) {
    return { kind: 'lost', decision, why: error instanceof Error ? error.message : 'no answer' };
  }
}

/** Creates the visible controls. The panel decides what they do. */
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
    else setText(message, 'Clicks made by scripts are rejected. Nothing was changed.');
  });
  return {
    root: el('div', 'consent', name.root, el('div', 'buttons', approve, decline, timer), message),
    hasName: name.isCorrect,
    name: () => name.input.value,
    setMessage: (text: string): void => setText(message, text),
    showTime: (leftMs: number): void => setText(timer, leftMs > 0 ? `Expires in ${formatClock(leftMs)}` : 'Expired'),
    draw({ kind: now }: State): void {
      approve.disabled = now !== 'open' || !name.isCorrect();
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
  return { root, input, isCorrect: () => wanted === undefined || input.value === wanted };
}

/** Counts down by the time since the result arrived and by the computer's clock. The earlier end wins. */
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
  // The caller needs the returned panel before the first tick.
  queueMicrotask(tick);
  return { end: () => clearInterval(timer) };
}

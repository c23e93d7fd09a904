import type { ToolError } from '../../core/errors.ts';
import type { PendingChange, ConsentLevel } from '../../core/change.ts';
import { nonceUnknown, tokenExpired, tokenUnknown, usedUp } from './consent-errors.ts';
import { createToken, findByFingerprint, fingerprintToken, createNonce, fingerprintNonce } from './token.ts';

/** The state of a token. */
export type TokenState<R> =
  | { readonly kind: 'pending'; readonly asking: Asking }
  /** One redemption is in progress; all others wait for its result. */
  | { readonly kind: 'running'; readonly used: Promise<Used<R>> }
  | { readonly kind: 'used'; readonly used: Used<R> }
  /** Can't be redeemed anymore: declined, cancelled, changed, failed, expired. */
  | { readonly kind: 'closed'; readonly why: ToolError };

/** The progress of asking a person. */
export type Asking =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'form'; readonly nonce: string }
  | { readonly kind: 'dialog'; readonly answered: Promise<void>; readonly abort: AbortController }
  | { readonly kind: 'dialog-failed'; readonly why: string }
  | { readonly kind: 'approved'; readonly level: ConsentLevel };

/** The result of the one use of a token. */
export interface Used<R> {
  readonly result: R;
  readonly level: ConsentLevel;
  /** The change was made, but its last line isn't in the audit log. */
  readonly unrecorded: boolean;
}

export interface TokenEntry<R> {
  readonly fingerprint: Buffer;
  /** Names this change in the audit log; reveals nothing about the token. */
  readonly id: string;
  readonly change: PendingChange;
  readonly expiresAtMs: number;
  /** Present if the change is shown in a card. Its nonce lives and ends with the token. */
  readonly card?: { readonly fingerprint: Buffer; wrongNames: number };
  state: TokenState<R>;
  /** The audit log has the line that the change was requested. */
  asked: boolean;
}

export interface TokenStoreOptions {
  readonly now: () => number;
  readonly lifeMs: number;
  readonly maxPending: number;
  /** How many results are kept to answer a used token. */
  readonly maxResults: number;
  /** How many tokens are remembered after their end. */
  readonly maxClosed: number;
}

/** Keeps tokens in memory only, by their fingerprint and within bounds. */
export class TokenStore<R> {
  readonly #options: TokenStoreOptions;
  /** In the order of minting, so that the oldest come first. */
  readonly #entries = new Set<TokenEntry<R>>();

  constructor(options: TokenStoreOptions) {
    this.#options = options;
  }

  add(
    change: PendingChange,
    { card }: { readonly card: boolean } = { card: false },
  ): { token: string; nonce: string | undefined; entry: TokenEntry<R> } {
    const token = createToken();
    const nonce = card ? createNonce() : undefined;
    const entry: TokenEntry<R> = {
      fingerprint: fingerprintToken(token),
      id: createToken().slice(0, 7),
      change,
      expiresAtMs: this.#options.now() + this.#options.lifeMs,
      ...(nonce === undefined ? {} : { card: { fingerprint: fingerprintNonce(nonce), wrongNames: 0 } }),
      state: { kind: 'pending', asking: { kind: 'not-asked' } },
      asked: false,
    };
    this.#entries.add(entry);
    this.#prune();
    return { token, nonce, entry };
  }

  /** @throws ToolError `token-unknown` or `token-expired` */
  find(token: string): TokenEntry<R> {
    const entry = findByFingerprint(this.#entries, fingerprintToken(token));
    if (entry === undefined) throw tokenUnknown();
    return this.#unexpired(entry);
  }

  /** Finds a change by the nonce of its card. @throws ToolError as `find` does */
  findByNonce(nonce: string): TokenEntry<R> {
    const cards = [...this.#entries].flatMap((entry) =>
      entry.card === undefined ? [] : [{ fingerprint: entry.card.fingerprint, entry }],
    );
    const found = findByFingerprint(cards, fingerprintNonce(nonce));
    if (found === undefined) throw nonceUnknown();
    return this.#unexpired(found.entry);
  }

  /** Expires every pending token. */
  close(): void {
    for (const entry of this.#inState('pending')) expire(entry, 'The server is shutting down.');
  }

  #inState(...kinds: readonly TokenState<R>['kind'][]): TokenEntry<R>[] {
    return [...this.#entries].filter((entry) => kinds.includes(entry.state.kind));
  }

  #prune(): void {
    const { now, maxPending, maxResults, maxClosed } = this.#options;
    for (const entry of this.#inState('pending'))
      if (now() >= entry.expiresAtMs) expire(entry, 'This token has expired.');
    for (const entry of this.#inState('pending').slice(0, -maxPending))
      expire(entry, 'This token was evicted by newer ones.');
    for (const entry of this.#inState('used').slice(0, -maxResults))
      closeEntry(entry, usedUp('its result is no longer kept'));
    for (const entry of this.#inState('used', 'closed').slice(0, -maxClosed)) this.#entries.delete(entry);
  }

  #unexpired(entry: TokenEntry<R>): TokenEntry<R> {
    if (entry.state.kind !== 'pending' || this.#options.now() < entry.expiresAtMs) return entry;
    const minutes = Math.round(this.#options.lifeMs / 60_000);
    throw expire(entry, `This token has expired: it was valid for ${minutes} minutes.`);
  }
}

function expire<R>(entry: TokenEntry<R>, why: string): ToolError {
  const error = tokenExpired(entry.change, why);
  closeEntry(entry, error);
  return error;
}

/** Ends a token, and closes the dialog that may be open for it. */
export function closeEntry<R>(entry: TokenEntry<R>, why: ToolError): void {
  const { state } = entry;
  entry.state = { kind: 'closed', why };
  if (state.kind === 'pending' && state.asking.kind === 'dialog') state.asking.abort.abort();
}

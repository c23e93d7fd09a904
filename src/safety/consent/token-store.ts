import type { ToolError } from '../../core/errors.ts';
import { createNonce, fingerprintNonce } from './card-nonce.ts';
import type { PendingChange, ConsentLevel } from '../../core/change.ts';
import { nonceUnknown, tokenExpired, tokenUnknown, usedUp } from './consent-errors.ts';
import { createToken, findByFingerprint, fingerprintToken } from './token.ts';

/** Where a token stands. Each state carries only what it needs. */
export type TokenState<R> =
  | { readonly kind: 'pending'; readonly asking: Asking }
  /** One redemption is at work; all others wait for what it comes to. */
  | { readonly kind: 'running'; readonly result: Promise<Used<R>> }
  | { readonly kind: 'used'; readonly used: Used<R> }
  /** Can't be redeemed any more: declined, cancelled, changed, failed, expired. */
  | { readonly kind: 'closed'; readonly why: ToolError };

/** How far the asking of a person has got. */
export type Asking =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'form'; readonly nonce: string }
  | { readonly kind: 'dialog'; readonly answered: Promise<void>; readonly abort: AbortController }
  | { readonly kind: 'dialog-failed'; readonly why: string }
  | { readonly kind: 'agreed'; readonly level: ConsentLevel };

/** What the one use of a token came to. */
export interface Used<R> {
  readonly result: R;
  readonly level: ConsentLevel;
  /** The change was made, but its last line isn't in the audit log. */
  readonly unrecorded: boolean;
}

export interface TokenEntry<R> {
  readonly fingerprint: Buffer;
  /** Names this change in the audit log; tells nothing about the token. */
  readonly id: string;
  readonly change: PendingChange;
  readonly expiresAtMs: number;
  /** There where the change is shown in a card. Its nonce lives and ends with the token. */
  readonly card?: { readonly fingerprint: Buffer; wrongNames: number };
  state: TokenState<R>;
  /** The audit log has its line that the change was asked for. */
  asked: boolean;
}

export interface TokenStoreOptions {
  readonly now: () => number;
  readonly lifeMs: number;
  readonly maxPending: number;
  /** How many results are kept for answering a used token. */
  readonly maxResults: number;
  /** How many tokens are remembered after their end. */
  readonly maxClosed: number;
}

export interface TokenStore<R> {
  add(
    change: PendingChange,
    options?: { readonly card: boolean },
  ): { token: string; nonce: string | undefined; entry: TokenEntry<R> };
  /** @throws ToolError `token-unknown` or `token-expired`. */
  find(token: string): TokenEntry<R>;
  /** Finds a change by the nonce of its card. @throws ToolError as `find` */
  findByNonce(nonce: string): TokenEntry<R>;
  close(): void;
}

/** Keeps tokens in memory alone, by their fingerprint and within bounds. */
export function createTokenStore<R>(options: TokenStoreOptions): TokenStore<R> {
  // In the order of minting, so the oldest come first.
  const entries = new Set<TokenEntry<R>>();
  const inState = (...kinds: readonly TokenState<R>['kind'][]): TokenEntry<R>[] =>
    [...entries].filter((entry) => kinds.includes(entry.state.kind));

  const expire = (entry: TokenEntry<R>, why: string): ToolError => {
    const error = tokenExpired(entry.change, why);
    closeEntry(entry, error);
    return error;
  };

  const prune = (): void => {
    for (const entry of inState('pending'))
      if (options.now() >= entry.expiresAtMs) expire(entry, 'This token has expired.');
    for (const entry of inState('pending').slice(0, -options.maxPending))
      expire(entry, 'This token made way for newer ones.');
    for (const entry of inState('used').slice(0, -options.maxResults))
      closeEntry(entry, usedUp('its result is no longer kept'));
    for (const entry of inState('used', 'closed').slice(0, -options.maxClosed)) entries.delete(entry);
  };

  const unexpired = (entry: TokenEntry<R>): TokenEntry<R> => {
    if (entry.state.kind !== 'pending' || options.now() < entry.expiresAtMs) return entry;
    const minutes = Math.round(options.lifeMs / 60_000);
    throw expire(entry, `This token has expired: it was good for ${minutes} minutes.`);
  };

  return {
    add(change, { card } = { card: false }) {
      const token = createToken();
      const nonce = card ? createNonce() : undefined;
      const fingerprint = fingerprintToken(token);
      const entry: TokenEntry<R> = {
        fingerprint,
        id: createToken().slice(0, 7),
        change,
        expiresAtMs: options.now() + options.lifeMs,
        ...(nonce === undefined ? {} : { card: { fingerprint: fingerprintNonce(nonce), wrongNames: 0 } }),
        state: { kind: 'pending', asking: { kind: 'not-asked' } },
        asked: false,
      };
      entries.add(entry);
      prune();
      return { token, nonce, entry };
    },
    find(token) {
      const entry = findByFingerprint(entries, fingerprintToken(token));
      if (entry === undefined) throw tokenUnknown();
      return unexpired(entry);
    },
    findByNonce(nonce) {
      const cards = [...entries].flatMap((entry) =>
        entry.card === undefined ? [] : [{ fingerprint: entry.card.fingerprint, entry }],
      );
      const found = findByFingerprint(cards, fingerprintNonce(nonce));
      if (found === undefined) throw nonceUnknown();
      return unexpired(found.entry);
    },
    close() {
      for (const entry of inState('pending')) expire(entry, 'The server is going down.');
    },
  };
}

/** Takes a token out of use, and ends the dialog that may be open for it. */
export function closeEntry<R>(entry: TokenEntry<R>, why: ToolError): void {
  const { state } = entry;
  entry.state = { kind: 'closed', why };
  if (state.kind === 'pending' && state.asking.kind === 'dialog') state.asking.abort.abort();
}

import type { ToolError } from '../../core/errors.ts';
import type { ConsentLevel, PendingChange } from '../../core/change.ts';
import { promiseWithResolvers } from '../../core/waiting.ts';
import { nonceUnknown, tokenEndedElsewhere, tokenExpired, tokenUnknown, usedUp } from './consent-wording.ts';
import {
  createRandomText,
  createToken,
  findByFingerprint,
  fingerprintToken,
  createNonce,
  fingerprintNonce,
} from './token-files.ts';
import type { TokenFile, TokenFiles } from './token-files.ts';

/** The state of a token. */
export type TokenState<R> =
  | { readonly kind: 'pending'; readonly asking: Asking }
  /** One redemption is in progress; all others wait for its result. */
  | { readonly kind: 'running'; readonly used: Promise<Used<R>> }
  | { readonly kind: 'used'; readonly used: Used<R> }
  /** Can't be redeemed anymore: declined, canceled, changed, failed, expired. */
  | { readonly kind: 'closed'; readonly why: ToolError };

/** The progress of asking a person. */
export type Asking =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'form'; readonly nonce: string; readonly askedAtMs: number }
  | { readonly kind: 'dialog'; readonly answered: Promise<void>; readonly abort: AbortController }
  /** `isReported`: whoever redeems the token knows that nobody was asked. */
  | { readonly kind: 'dialog-failed'; readonly why: string; readonly isReported: boolean }
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
  /** Present if the client declares cards. Its nonce lives and ends with the token. */
  readonly card?: PendingCard;
  /** Present if other processes can redeem the token. */
  readonly file?: TokenFile;
  state: TokenState<R>;
  /** The audit log has the line that the change was requested. */
  asked: boolean;
  /** The client answered a form automatically: from then on, the token alone is never sufficient. */
  answeredByNobody: boolean;
}

/** The card of a change. */
export interface PendingCard {
  readonly fingerprint: Buffer;
  wrongNames: number;
  /** Whether the page has reported that it is on the screen; `missing` if it didn't in the time that a page needs. */
  page: 'loading' | 'shown' | 'missing';
  /** Settles once the page is no longer loading. */
  readonly settled: Promise<void>;
  /** The page has reported itself. */
  report(): void;
}

export interface TokenStoreOptions {
  readonly now: () => number;
  readonly lifeMs: number;
  readonly maxPending: number;
  /** How many results are kept to answer a used token. */
  readonly maxResults: number;
  /** How many tokens are remembered after their end. */
  readonly maxClosed: number;
  /** Stores tokens for the next process. */
  readonly files?: TokenFiles | undefined;
  /** How long the page of a card may take to report itself. */
  readonly cardLoadMs: number;
}

/** Keeps tokens by their fingerprint and within bounds. */
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
    const token = createToken(change);
    const nonce = card ? createNonce() : undefined;
    const { files, lifeMs } = this.#options;
    // A card belongs to this process: its click must not be overtaken by the token in another one.
    const file = card ? undefined : files?.save(token, change);
    const entry = this.#keep(token, change, {
      remainingMs: lifeMs,
      ...(file === undefined ? {} : { file }),
      ...(nonce === undefined ? {} : { card: createCard(nonce, this.#options.cardLoadMs) }),
    });
    return { token, nonce, entry };
  }

  /** @throws ToolError `token-unknown`, `token-expired`, or `token-used` if another process has ended the token */
  find(token: string): TokenEntry<R> {
    const entry = findByFingerprint(this.#entries, fingerprintToken(token)) ?? this.#load(token);
    if (entry === undefined) throw tokenUnknown();
    if (entry.state.kind === 'pending' && entry.file?.isOpen() === false) closeEntry(entry, tokenEndedElsewhere());
    return this.#unexpired(entry);
  }

  #load(token: string): TokenEntry<R> | undefined {
    const stored = this.#options.files?.load(token);
    return stored && this.#keep(token, stored.change, stored);
  }

  #keep(
    token: string,
    change: PendingChange,
    { remainingMs, file, card }: { readonly remainingMs: number } & Pick<TokenEntry<R>, 'file' | 'card'>,
  ): TokenEntry<R> {
    const entry: TokenEntry<R> = {
      fingerprint: fingerprintToken(token),
      id: createRandomText().slice(0, 7),
      change,
      expiresAtMs: this.#options.now() + remainingMs,
      ...(card === undefined ? {} : { card }),
      ...(file === undefined ? {} : { file }),
      state: { kind: 'pending', asking: { kind: 'not-asked' } },
      asked: false,
      answeredByNobody: false,
    };
    this.#entries.add(entry);
    this.#prune();
    return entry;
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

  /** Closes every pending token in this process. The next one can redeem those with a file. */
  close(): void {
    for (const entry of this.#inState('pending'))
      leaveEntry(entry, tokenExpired(entry.change, 'The server is shutting down.'));
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

function createCard(nonce: string, loadMs: number): PendingCard {
  const { promise: settled, resolve: settle } = promiseWithResolvers<void>();
  const card: PendingCard = {
    fingerprint: fingerprintNonce(nonce),
    wrongNames: 0,
    page: 'loading',
    settled,
    report() {
      card.page = 'shown';
      settle();
    },
  };
  const timer = setTimeout(() => {
    if (card.page === 'loading') card.page = 'missing';
    settle();
  }, loadMs);
  timer.unref();
  return card;
}

function expire<R>(entry: TokenEntry<R>, why: string): ToolError {
  const error = tokenExpired(entry.change, why);
  closeEntry(entry, error);
  return error;
}

/** Ends a token in every process, and closes the dialog that may be open for it. */
export function closeEntry<R>(entry: TokenEntry<R>, why: ToolError): void {
  entry.file?.end();
  leaveEntry(entry, why);
}

function leaveEntry<R>(entry: TokenEntry<R>, why: ToolError): void {
  const { state } = entry;
  entry.state = { kind: 'closed', why };
  if (state.kind === 'pending' && state.asking.kind === 'dialog') state.asking.abort.abort();
}

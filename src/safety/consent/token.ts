import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { PendingChange } from '../../core/change.ts';
import { formatDollars } from '../../core/format-values.ts';

/** Crockford's base 32: no i, l, o or u, so that a token survives being read aloud or retyped. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** 28 characters of 5 bits: 140 bits, in four groups of seven. */
const LENGTH = 28;

/** Creates 140 bits of randomness, in groups that are easy to copy. */
export function createRandomText(): string {
  // 256 is a multiple of 32, so the remainder is unbiased.
  const letters = Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return (letters.match(/.{7}/g) ?? []).join('-');
}

/**
 * Creates a confirmation token that says what it does: `create-task-train-0.39usd-<random>`. A host that asks whether a tool may be
 * called shows the arguments, and often nothing else.
 */
export function createToken({ operation, binding }: PendingChange): string {
  const { resource, pricePerHour } = binding;
  const price = formatDollars(pricePerHour).replace(/[^\d.]/g, '');
  const words = [operation, resource.kind, resource.name ?? ''].map(toWord);
  return [...words, price === '' ? '' : `${price}usd`, createRandomText()].filter((word) => word !== '').join('-');
}

/** The longest part of a token that comes from a name. */
const MAX_WORD = 30;

/** Keeps what can't break a token or imitate its price, which has a point. */
const toWord = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_WORD)
    .replace(/^-|-$/g, '');

/** Returns the fingerprint under which a token is stored. The whole token has to match, since a person may have read all of it. */
export const fingerprintToken = (token: string): Buffer => createHash('sha256').update(token.trim()).digest();

/** Finds the entry with this fingerprint. The time it takes doesn't depend on how much of it matches. */
export function findByFingerprint<T extends { readonly fingerprint: Buffer }>(
  entries: Iterable<T>,
  fingerprint: Buffer,
): T | undefined {
  let found: T | undefined;
  for (const entry of entries) if (timingSafeEqual(entry.fingerprint, fingerprint)) found = entry;
  return found;
}

/** Creates the nonce that a card's buttons send: 128 bits, in a form that can't be mistaken for a token. */
export const createNonce = (): string => randomBytes(16).toString('hex');

/** Returns the fingerprint under which a nonce is stored. Nobody copies one by hand, so it has to match exactly. */
export const fingerprintNonce = (nonce: string): Buffer => createHash('sha256').update(`card:${nonce}`).digest();

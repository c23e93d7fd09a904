import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Crockford's base 32: no i, l, o or u, so that a token that was read aloud or typed off is still the token. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** 28 characters of 5 bits: 140 bits, in four groups of seven. */
const LENGTH = 28;

/** Makes a confirmation token: at least 128 bits of randomness, short to copy. */
export function createToken(): string {
  // 256 is a multiple of 32, so the remainder is unbiased.
  const letters = Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return (letters.match(/.{7}/g) ?? []).join('-');
}

/** The fingerprint under which a token is kept, forgiving about case, hyphens, spaces and look-alike letters. */
export function fingerprintToken(token: string): Buffer {
  const plain = token.trim().toLowerCase().replace(/[\s-]/g, '').replace(/[il]/g, '1').replace(/o/g, '0');
  return createHash('sha256').update(plain).digest();
}

/** Finds the entry with this fingerprint; the time it takes doesn't depend on how much of it matches. */
export function findByFingerprint<T extends { readonly fingerprint: Buffer }>(
  entries: Iterable<T>,
  fingerprint: Buffer,
): T | undefined {
  let found: T | undefined;
  for (const entry of entries) if (timingSafeEqual(entry.fingerprint, fingerprint)) found = entry;
  return found;
}

/** Makes what a card's buttons bring back: 128 bits, unlike a token in form, so that neither passes for the other. */
export const createNonce = (): string => randomBytes(16).toString('hex');

/** The fingerprint under which a nonce is kept. No person copies one: it is taken as it is. */
export const fingerprintNonce = (nonce: string): Buffer => createHash('sha256').update(`card:${nonce}`).digest();

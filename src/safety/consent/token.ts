import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Crockford's base 32: no i, l, o or u, so that a token survives being read aloud or retyped. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** 28 characters of 5 bits: 140 bits, in four groups of seven. */
const LENGTH = 28;

/** Creates a confirmation token: 140 bits of randomness, short enough to copy. */
export function createToken(): string {
  // 256 is a multiple of 32, so the remainder is unbiased.
  const letters = Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
  return (letters.match(/.{7}/g) ?? []).join('-');
}

/** Returns the fingerprint under which a token is stored. Ignores case, hyphens, spaces and look-alike letters. */
export function fingerprintToken(token: string): Buffer {
  const plain = token.trim().toLowerCase().replace(/[\s-]/g, '').replace(/[il]/g, '1').replace(/o/g, '0');
  return createHash('sha256').update(plain).digest();
}

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

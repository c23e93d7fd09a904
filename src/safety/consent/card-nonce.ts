import { createHash, randomBytes } from 'node:crypto';

/** Makes what a card's buttons bring back: 128 bits, unlike a token in form, so that neither passes for the other. */
export const createNonce = (): string => randomBytes(16).toString('hex');

/** The fingerprint under which a nonce is kept. No person copies one: it is taken as it is. */
export const fingerprintNonce = (nonce: string): Buffer => createHash('sha256').update(`card:${nonce}`).digest();

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, linkSync, lstatSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { pendingChange } from '../../core/change.ts';
import type { PendingChange } from '../../core/change.ts';
import { formatDollars } from '../../core/values.ts';
import { makePrivateFolder, readPrivateFile } from '../files/private-files.ts';
import { tokenEndedElsewhere, tokenExpired } from './consent-wording.ts';

/** The file of a token: what every process of this user has in common about it. */
export interface TokenFile {
  /** Whether no process has ended the token yet. */
  isOpen(): boolean;
  /** Ends the token for every process. Returns true to the one that did. */
  end(): boolean;
  /** Takes `end` back. */
  reopen(): void;
  /** Marks for every process whether a person was asked, so that the token alone is not sufficient. */
  setAsked(isAsked: boolean): void;
  isAsked(): boolean;
}

/** A change whose token another process created. */
interface StoredChange {
  readonly change: PendingChange;
  readonly remainingMs: number;
  readonly file: TokenFile;
}

interface TokenFilesOptions {
  /** A dedicated folder. It is created if necessary and kept private. */
  readonly folder: string;
  readonly lifeMs: number;
  readonly wall?: () => number;
  /** Milliseconds since this computer started: unlike the wall clock, it can't be set back. */
  readonly sinceBoot?: () => number;
}

/** The file with the key of the folder. */
const KEY = 'key';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const ENDED = '.ended';
const ASKED = '.asked';
/** A token's file, or what is left of a key whose creation was interrupted. */
const OWN_FILE = /^(?:[0-9a-f]{64}(?:\.ended|\.asked)?|key\.[0-9a-f]{12})$/;
/** How long an ended token is remembered, so that a later use is distinguished from an unknown token. */
const REMEMBER_MS = 24 * 3_600_000;
/** With more files than this in the folder, tokens are kept in memory only. */
const MAX_FILES = 512;

const recordSchema = z.strictObject({ change: pendingChange, wallMs: z.number(), sinceBootMs: z.number() });

/**
 * Stores the changes that tokens stand for, so that the next process of the same user can redeem them: some clients start a server for
 * each call. The content is encrypted with a key of the folder and the token, so it can be neither read nor changed without both. It has
 * no approval: whoever redeems the token is asked as if it were their own.
 */
export class TokenFiles {
  readonly #folder: string;
  readonly #lifeMs: number;
  readonly #wall: () => number;
  readonly #sinceBoot: () => number;

  constructor({ folder, lifeMs, wall = Date.now, sinceBoot = () => uptime() * 1_000 }: TokenFilesOptions) {
    this.#folder = folder;
    this.#lifeMs = lifeMs;
    this.#wall = wall;
    this.#sinceBoot = sinceBoot;
  }

  /** Stores a change. Returns undefined if the folder doesn't allow it: the token is valid in this process only then. */
  save(token: string, change: PendingChange): TokenFile | undefined {
    const file = this.#place(token);
    try {
      makePrivateFolder(this.#folder);
      if (this.#removeOld() >= MAX_FILES) return undefined;
      const record = { change, wallMs: this.#wall(), sinceBootMs: this.#sinceBoot() };
      const sealed = seal(JSON.stringify(record), this.#keyOf(token));
      writeFileSync(file, sealed, { mode: 0o600, flag: 'wx' });
      return openTokenFile(file);
    } catch {
      removeIfPossible(file);
      return undefined;
    }
  }

  /**
   * Returns the change that another process stored; undefined if there is none.
   * @throws ToolError `token-expired`, or `token-used` if a process has ended the token
   */
  load(token: string): StoredChange | undefined {
    const file = this.#place(token);
    if (existsSync(file + ENDED)) throw tokenEndedElsewhere();
    const record = this.#read(file, token);
    if (record === undefined) return undefined;
    // Both clocks have to agree: one may be set back, the other starts again with the computer.
    const ages = [this.#wall() - record.wallMs, this.#sinceBoot() - record.sinceBootMs];
    if (ages.some((age) => age < 0 || age >= this.#lifeMs))
      throw tokenExpired(record.change, 'This token has expired, or this computer was restarted since.');
    return { change: record.change, remainingMs: this.#lifeMs - Math.max(...ages), file: openTokenFile(file) };
  }

  #read(file: string, token: string): z.output<typeof recordSchema> | undefined {
    try {
      return recordSchema.parse(JSON.parse(unseal(readPrivateFile(file), this.#keyOf(token))));
    } catch {
      return undefined;
    }
  }

  #place(token: string): string {
    return path.join(this.#folder, fingerprintToken(token).toString('hex'));
  }

  #keyOf(token: string): Buffer {
    const key = readOrCreateKey(path.join(this.#folder, KEY));
    return Buffer.from(hkdfSync('sha256', key, fingerprintToken(`key ${token}`), hostname(), KEY_BYTES));
  }

  /** Removes the files of old tokens, and nothing else of what may be in the folder. Returns how many files are left. */
  #removeOld(): number {
    const names = readdirSync(this.#folder);
    const old = names
      .filter((name) => OWN_FILE.test(name))
      .map((name) => path.join(this.#folder, name))
      .filter((file) => Math.abs(this.#wall() - lstatSync(file).mtimeMs) > REMEMBER_MS);
    for (const file of old) rmSync(file, { force: true });
    return names.length - old.length;
  }
}

/** Removes what a full disk left of a file. */
function removeIfPossible(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Its folder may be a file.
  }
}

/** A rename succeeds for one process only. */
function openTokenFile(file: string): TokenFile {
  const move = (from: string, to: string): boolean => {
    try {
      renameSync(from, to);
      return true;
    } catch {
      return false;
    }
  };
  return {
    isOpen: () => existsSync(file),
    end: () => move(file, file + ENDED),
    reopen: () => void move(file + ENDED, file),
    setAsked(isAsked) {
      try {
        if (isAsked) writeFileSync(file + ASKED, '', { mode: 0o600 });
        else rmSync(file + ASKED, { force: true });
      } catch {
        // Without the mark, the token could be sufficient in another process.
        move(file, file + ENDED);
      }
    },
    isAsked: () => existsSync(file + ASKED),
  };
}

function seal(text: string, key: Buffer): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]);
}

/** @throws Error if the content was not sealed with this key, or was changed since */
function unseal(content: Buffer, key: Buffer): string {
  const [iv, rest] = [content.subarray(0, IV_BYTES), content.subarray(IV_BYTES)];
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(rest.subarray(0, TAG_BYTES));
  return decipher.update(rest.subarray(TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
}

/** Returns the key of the folder. Of several processes that create it at the same time, all get the same one. */
function readOrCreateKey(file: string): Buffer {
  if (!existsSync(file)) {
    const own = `${file}.${randomBytes(6).toString('hex')}`;
    writeFileSync(own, randomBytes(KEY_BYTES), { mode: 0o600, flag: 'wx' });
    try {
      linkSync(own, file);
    } catch (error) {
      if (!existsSync(file)) throw error;
    } finally {
      rmSync(own, { force: true });
    }
  }
  const key = readPrivateFile(file);
  if (key.length !== KEY_BYTES) throw new Error(`${file} is damaged`);
  return key;
}

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

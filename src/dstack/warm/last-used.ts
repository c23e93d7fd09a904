import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import { readPrivateJson, writePrivateJson } from '../../safety/files/private-json.ts';

/** Which of this user's servers ran a command last: only that one keeps its warm processes for long. */
export interface LastUsed {
  /** Records that this server runs a command. */
  claim(): void;
  /** Whether no other server has run a command since then. */
  isOurs(): Promise<boolean>;
}

const content = z.strictObject({ server: z.string() });

/** A command each second must not write a file each second. */
const CLAIM_MS = 5_000;

/** Creates the record in a file that the servers with the same state folder share. Without the file, each server is the last one. */
export function createLastUsed(file: string, log: Log): LastUsed {
  const server = randomUUID();
  let claimedAt = -Infinity;
  let written = Promise.resolve();
  return {
    claim() {
      const now = performance.now();
      if (now - claimedAt < CLAIM_MS) return;
      claimedAt = now;
      written = writePrivateJson(file, { server }, log);
    },
    async isOurs() {
      await written;
      const last = await readPrivateJson(file, content);
      return last === undefined || last.server === server;
    },
  };
}

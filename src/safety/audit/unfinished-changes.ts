import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { consentLevel } from '../../core/change.ts';
import { isOfOtherNamespace, startTimeOf, withLock } from '../../core/exclusive-lock.mjs';
import { AUDIT_FILE, FULL_AUDIT_FILE } from './audit-log.ts';
import type { AuditEntry, AuditSink } from './audit-log.ts';

/** A change that was approved and has no result in the log, because its server ended first. */
export interface UnfinishedChange {
  readonly entry: AuditEntry;
  readonly approvedAt: Date;
}

export interface UnfinishedChangesOptions {
  /** The folder of the audit log. */
  readonly folder: string;
  readonly audit: AuditSink;
  readonly now?: () => number;
  /** Returns the start time of a living process, undefined for one that has ended. */
  readonly startTimeOf?: (pid: number) => Promise<string | undefined>;
}

/** Older lines are history: what became of them shows in dstack, or doesn't matter anymore. */
const MAX_AGE_MS = 24 * 60 * 60_000;
/** A server in another container can't be looked up. A call takes an hour at most (`DSTACK_MCP_TIMEOUT`). */
const LONGEST_CALL_MS = 65 * 60_000;

/** Finds the changes that an earlier server of this folder left without a result, and closes them in its audit log. */
export class UnfinishedChanges {
  readonly #options: Required<UnfinishedChangesOptions>;
  #closing: Promise<void> | undefined;
  #notes: readonly string[] = [];

  constructor(options: UnfinishedChangesOptions) {
    this.#options = { now: Date.now, startTimeOf, ...options };
  }

  /** Returns those of the last day whose server has ended. */
  async find(): Promise<readonly UnfinishedChange[]> {
    const lines = await this.#readLines();
    const ended = new Set(lines.filter(({ event }) => event === 'done').map(({ id }) => id));
    const found: UnfinishedChange[] = [];
    for (const { time, pid, processStartedAt, ...entry } of lines) {
      if (entry.event !== 'approved' || ended.has(entry.id)) continue;
      const ageMs = this.#options.now() - time.getTime();
      if (ageMs > MAX_AGE_MS) continue;
      if (processStartedAt !== undefined && (await isOfOtherNamespace(processStartedAt)) && ageMs < LONGEST_CALL_MS)
        continue;
      if (!(await this.#isAlive(pid, processStartedAt))) found.push({ entry, approvedAt: time });
    }
    return found;
  }

  /**
   * Closes them in the log, at the first call alone, and once among all servers of the folder. `describeState` says what is known of one
   * by now; it becomes a part of the line and of the note. Never rejects: a call doesn't fail because of what another server left.
   */
  close(describeState: (change: UnfinishedChange) => Promise<string>): Promise<void> {
    return (this.#closing ??= this.#tryClose(describeState));
  }

  /** Returns the notes about what was closed, once. */
  takeNotes(): readonly string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }

  async #tryClose(describeState: (change: UnfinishedChange) => Promise<string>): Promise<void> {
    try {
      this.#notes = await this.#close(describeState);
    } catch {
      // The lines stay unchanged, for the next server.
    }
  }

  async #close(describeState: (change: UnfinishedChange) => Promise<string>): Promise<readonly string[]> {
    if ((await this.find()).length === 0) return [];
    const { folder } = this.#options;
    const closed = await withLock(path.join(folder, 'unfinished.lock'), { deadlineMs: 0 }, async () => {
      // Read again: another server may have closed them by now.
      const changes = await this.find();
      return Promise.all(changes.map(async (change) => this.#closeOne(change, await describeState(change))));
    });
    // Another server holds the lock, and reports them.
    return closed?.value ?? [];
  }

  #closeOne(change: UnfinishedChange, state: string): string {
    const why = `the server ended before it knew the result. ${state}`;
    this.#options.audit.write({ ...change.entry, event: 'done', outcome: 'unknown', why });
    return `An earlier server of yours ended while it made a change, whose result is unknown: ${describeUnfinished(change)}. ${state}`;
  }

  async #readLines(): Promise<readonly Line[]> {
    const names = await readdir(this.#options.folder).catch(() => []);
    const newestFull = names.filter((name) => FULL_AUDIT_FILE.test(name)).toSorted();
    const texts = await Promise.all(
      [...newestFull.slice(-1), AUDIT_FILE].map((name) =>
        readFile(path.join(this.#options.folder, name), 'utf8').catch(() => ''),
      ),
    );
    return texts.flatMap((text) => text.split('\n').flatMap(parseLine));
  }

  async #isAlive(pid: number, startedAt: string | undefined): Promise<boolean> {
    const found = await this.#options.startTimeOf(pid);
    return found !== undefined && (startedAt === undefined || found === startedAt);
  }
}

/** Describes a change in a few words. */
export function describeUnfinished({ entry, approvedAt }: UnfinishedChange): string {
  const { kind, name = 'without a name' } = entry.resource;
  return `${entry.operation} ${kind} ${name} in project ${entry.project}, approved at ${approvedAt.toISOString()}`;
}

/** The log is read by a program for the first time here: names are names, whatever somebody wrote into it. */
const word = z.string().regex(/^[\w.-]{1,100}$/);

const lineSchema = z.object({
  time: z.coerce.date(),
  pid: z.number(),
  processStartedAt: z.string().optional(),
  id: z.string(),
  event: z.enum(['approved', 'done']),
  tool: word,
  operation: word,
  resource: z.object({ kind: word, name: word.optional() }),
  project: z.string().regex(/^[\w. -]{1,100}$/),
  server: z.string(),
  argv: z.array(z.string()),
  files: z.record(z.string(), z.string()),
  pricePerHour: z.number().nullable(),
  level: consentLevel.optional(),
});

type Line = z.output<typeof lineSchema>;

function parseLine(text: string): Line[] {
  if (!/"event":"(?:approved|done)"/.test(text)) return [];
  try {
    return [lineSchema.parse(JSON.parse(text))];
  } catch {
    // A line that was cut short, or by another program.
    return [];
  }
}

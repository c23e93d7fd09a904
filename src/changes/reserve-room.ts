import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { codeOf, ToolError } from '../core/errors.ts';
import { withLock } from '../core/exclusive-lock.mjs';
import { sha256 } from '../core/values.ts';
import type { PendingChange } from '../core/change.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { CHANGE_LIMIT_MS } from '../dstack/run/command-call.ts';
import { readFleets, sumPrices } from '../dstack/output/read-tables.ts';
import { writePrivateFile } from '../safety/files/private-files.ts';
import { checkCaps } from '../safety/policy/policy-rules.ts';
import type { PlanScope, ReadyChange } from './planned-change.ts';

/** How long a submission counts in addition to what dstack lists: a new machine isn't listed at once. */
const UNLISTED_MS = 120_000;
/** Time reserved for making the change after the wait for the lock. */
const CHANGE_MS = 10_000;

const submissions = z.array(z.object({ at: z.number(), hourly: z.number() }));
type Submissions = z.output<typeof submissions>;

/** Decides how much room `max_active` leaves. */
export interface RoomScope extends Pick<PlanScope, 'dstack' | 'policy'> {
  readonly stateDir: string;
}

type Planned = Pick<ReadyChange, 'cost' | 'pending'>;

/** The room under `max_active` while a change is made. */
export interface Room {
  /** Reserves room for the change, right before it is made. @throws ToolError as `assertRoom` does */
  take(planned: Planned): Promise<void>;
  /** Frees it: nothing was submitted. */
  release(): void;
  /** Keeps it for longer: the change may still be submitted after the call. */
  extend(): void;
}

const ANY_ROOM: Room = { take: async () => undefined, release: () => undefined, extend: () => undefined };

/**
 * Checks that a change fits under `max_active`, with what is active and what was submitted in the last two minutes.
 * @throws ToolError `price-cap`; `state-unavailable` if the submissions can't be read
 */
export async function assertRoom(scope: RoomScope, planned: Planned): Promise<void> {
  if (!needsRoom(scope, planned.pending)) return;
  assertFits(scope, planned, await readUsage(scope, planned.pending));
}

/**
 * Makes a change while it has room under `max_active`. The check and the change happen under one lock for the server and the project,
 * which other servers of the same user take, too.
 * @throws ToolError `state-unavailable` before `work` is called
 */
export async function withRoom<T>(
  scope: RoomScope,
  change: PendingChange,
  work: (room: Room) => Promise<T>,
): Promise<T> {
  if (!needsRoom(scope, change)) return work(ANY_ROOM);
  const { deadline } = scope.dstack;
  const file = fileOf(scope, change);
  const options = {
    deadlineMs: Math.max(0, deadline.remainingMs() - CHANGE_MS),
    signal: deadline.signal,
    onWait: () => deadline.progress('waiting for another change in this project'),
  };
  const made = await withLock(`${file}.lock`, options, async () => {
    const usage = await readUsage(scope, change);
    let taken: number | undefined;
    let released = false;
    let longerMs = 0;
    const record = (hourly: number): Promise<void> =>
      writeSubmissions(file, [...usage.recent, { at: Date.now() + longerMs, hourly }]);
    const room: Room = {
      async take(planned) {
        const hourly = assertFits(scope, planned, usage);
        await record(hourly);
        taken = hourly;
      },
      release() {
        released = true;
      },
      extend() {
        longerMs = CHANGE_LIMIT_MS;
      },
    };
    try {
      return await work(room);
    } finally {
      // It stays recorded if this fails, which is the safe side.
      if (taken !== undefined)
        await (released ? writeSubmissions(file, usage.recent) : record(taken)).catch(() => undefined);
    }
  });
  if (made !== undefined) return made.value;
  throw new ToolError(
    'state-unavailable',
    'Another change in this project is being made, and `max_active` admits one at a time. Nothing was changed.',
    'Call apply again with the same token.',
  );
}

/** Stopping and deleting costs nothing. */
const needsRoom = ({ policy }: RoomScope, { request }: PendingChange): boolean =>
  request.tool === 'apply' && policy.caps.maxActive !== undefined;

/** The current cost of the project. */
interface Usage {
  /** USD per hour of all existing instances; undefined if that can't be read. */
  readonly active: number | undefined;
  readonly recent: Submissions;
}

const readUsage = async (scope: RoomScope, change: PendingChange): Promise<Usage> => ({
  recent: await readSubmissions(fileOf(scope, change)),
  active: await readActivePrice(scope.dstack, change.request.project),
});

/** Returns the most that the change can cost per hour. @throws ToolError `price-cap` if there is no room for it */
function assertFits({ policy }: RoomScope, { cost }: Planned, { active, recent }: Usage): number {
  const hourly = cost?.mostPerHour ?? 'unknown';
  const unlisted = recent.reduce((sum, one) => sum + one.hourly, 0);
  const { maxActive } = policy.caps;
  const refusal = checkCaps(
    { hourly, total: 'not-a-run', activeHourly: active === undefined ? undefined : active + unlisted },
    { maxActive },
  );
  if (refusal !== undefined) throw refusal;
  // checkCaps refuses a limit that isn't a number.
  return Number(hourly);
}

async function readActivePrice(dstack: DstackClient, project: string | undefined): Promise<number | undefined> {
  const transcript = await dstack.read({ command: 'fleet', flags: { '--project': project } }, { guarded: false });
  const fleets = readFleets(transcript.stdout);
  return fleets === undefined ? undefined : sumPrices(fleets);
}

function fileOf({ stateDir }: RoomScope, { binding: { server, project } }: PendingChange): string {
  return path.join(stateDir, 'submissions', `${sha256(JSON.stringify([server, project])).slice(0, 32)}.json`);
}

/** Reads what was submitted in the last two minutes. A time in the future counts: the clock was set back. */
async function readSubmissions(file: string): Promise<Submissions> {
  try {
    const all = submissions.parse(JSON.parse(await readFile(file, 'utf8')));
    return all.filter(({ at }) => Date.now() - at < UNLISTED_MS);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw unavailable(file, error);
  }
}

const writeSubmissions = (file: string, recent: Submissions): Promise<void> =>
  writePrivateFile(file, JSON.stringify(recent)).catch((error: unknown) => {
    throw unavailable(file, error);
  });

const unavailable = (file: string, cause: unknown): ToolError =>
  new ToolError(
    'state-unavailable',
    `The recent submissions in ${file} can't be read or written, so \`max_active\` can't be checked. Nothing was changed.`,
    'Tell the user. A damaged file can be deleted once nothing was submitted for two minutes.',
    { cause },
  );

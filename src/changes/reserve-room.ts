import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ToolError } from '../core/errors.ts';
import { withLock } from '../core/exclusive-lock.mjs';
import { sha256 } from '../core/sha256.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { readFleets, sumPrices } from '../dstack/output/read-listings.ts';
import { writePrivateFile } from '../safety/files/write-private-file.ts';
import { checkCaps } from '../safety/policy/price-caps.ts';
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

/**
 * Checks that a change fits under `max_active`, with what is active and what was submitted in the last two minutes.
 * @throws ToolError `price-cap`; `state-unavailable` if the submissions can't be read
 */
export async function assertRoom(scope: RoomScope, planned: Planned): Promise<void> {
  if (needsRoom(scope, planned)) await findRoom(scope, planned, await readSubmissions(fileOf(scope, planned)));
}

/**
 * Makes a change while it has room under `max_active`. The check and the change happen under one lock for the server and the project,
 * which other servers of the same user take, too. `work` calls `release` if nothing was submitted.
 * @throws ToolError as `assertRoom` does, before `work` is called
 */
export async function withRoom<T>(
  scope: RoomScope,
  planned: Planned,
  work: (release: () => void) => Promise<T>,
): Promise<T> {
  if (!needsRoom(scope, planned)) return work(() => undefined);
  const { deadline } = scope.dstack;
  const file = fileOf(scope, planned);
  const options = {
    deadlineMs: Math.max(0, deadline.remainingMs() - CHANGE_MS),
    signal: deadline.signal,
    onWait: () => deadline.progress('waiting for another change in this project'),
  };
  const made = await withLock(`${file}.lock`, options, async () => {
    const recent = await readSubmissions(file);
    const hourly = await findRoom(scope, planned, recent);
    const record = (): Promise<void> => writeSubmissions(file, [...recent, { at: Date.now(), hourly }]);
    await record();
    let released = false;
    try {
      return await work(() => {
        released = true;
      });
    } finally {
      // It stays recorded if this fails, which is the safe side.
      await (released ? writeSubmissions(file, recent) : record()).catch(() => undefined);
    }
  });
  if (made !== undefined) return made.value;
  throw new ToolError(
    'state-unavailable',
    'Another change in this project is being made, and `max_active` admits one at a time. Nothing was changed.',
    'Call again with the same token.',
  );
}

const needsRoom = ({ policy }: RoomScope, { cost }: Planned): boolean =>
  cost !== undefined && policy.caps().maxActive !== undefined;

/** Returns the most that the change can cost per hour. @throws ToolError `price-cap` if there is no room for it */
async function findRoom({ dstack, policy }: RoomScope, planned: Planned, recent: Submissions): Promise<number> {
  const hourly = planned.cost?.mostPerHour ?? 'unknown';
  const active = await readActivePrice(dstack, planned.pending.request.project);
  const unlisted = recent.reduce((sum, one) => sum + one.hourly, 0);
  const { maxActive } = policy.caps();
  const refusal = checkCaps(
    { hourly, total: 'not-a-run', activeHourly: active === undefined ? undefined : active + unlisted },
    { maxActive },
  );
  if (refusal !== undefined) throw refusal;
  // checkCaps refuses a limit that isn't a number.
  return Number(hourly);
}

/** Returns the USD per hour of all existing instances; undefined if that can't be read. */
async function readActivePrice(dstack: DstackClient, project: string | undefined): Promise<number | undefined> {
  const transcript = await dstack.read({ command: 'fleet', flags: { '--project': project } }, { guarded: false });
  const fleets = readFleets(transcript.stdout);
  return fleets === undefined ? undefined : sumPrices(fleets);
}

function fileOf({ stateDir }: RoomScope, { pending }: Planned): string {
  const { server, project } = pending.binding;
  return path.join(stateDir, 'submissions', `${sha256(JSON.stringify([server, project])).slice(0, 32)}.json`);
}

/** Reads what was submitted in the last two minutes. A time in the future counts: the clock was set back. */
async function readSubmissions(file: string): Promise<Submissions> {
  try {
    const all = submissions.parse(JSON.parse(await readFile(file, 'utf8')));
    return all.filter(({ at }) => Date.now() - at < UNLISTED_MS);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
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

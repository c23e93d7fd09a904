import * as z from 'zod';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import type { App } from '../app.ts';
import { readFleets, sumPrices } from '../dstack/output/read-fleets.ts';
import { checkCaps } from '../safety/policy/price-caps.ts';
import type { Caps } from '../safety/policy/price-caps.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import type { ApplyPlan } from './apply-plan.ts';

/** Types that occupy machines by the hour, and so fall under the caps. */
const RUNS: ReadonlySet<string> = new Set(['task', 'service', 'dev-environment']);

/**
 * The price that dstack is told to hold as well, dollars an hour for one node: the lowest of the cap's share, the file's own
 * `max_price` and the one that was asked for. Given on the command line it overrides the file, so it may never be higher.
 */
export function maxPriceFlag(
  caps: Caps,
  head: ConfigurationHead,
  extraFlags: Readonly<Record<string, unknown>>,
): { extraFlags: Readonly<Record<string, unknown>>; priceFlag: number | undefined } {
  if (caps.maxPrice === undefined || !(RUNS.has(head.type) || head.type === 'fleet'))
    return { extraFlags, priceFlag: undefined };
  const { '--max-price': asked, ...others } = extraFlags;
  const share = caps.maxPrice / Math.max(1, head.copies ?? 1);
  const wanted = [asked, head.value['max_price']].map((value) =>
    z.coerce
      .number()
      .nonnegative()
      .safeParse(value ?? undefined),
  );
  const prices = [share, ...wanted.flatMap((price) => (price.success ? [price.data] : []))];
  // Rounded down, so that the sum over all nodes stays below the cap.
  return { extraFlags: others, priceFlag: Math.floor(Math.min(...prices) * 10_000) / 10_000 };
}

/**
 * Holds a plan to the operator's caps on money.
 * @throws ToolError `price-cap`, also where a cap is set and the price can't be read.
 */
export async function enforcePriceCaps(
  engine: App,
  commands: DstackClient,
  { plan, head, request }: ApplyPlan,
): Promise<void> {
  const caps = engine.policy.caps();
  if (caps.maxPrice === undefined && caps.maxTotal === undefined && caps.maxActive === undefined) return;
  const isRun = RUNS.has(head.type);
  if (!isRun && head.type !== 'fleet') return;
  const total = !isRun ? 'not-a-run' : plan.maxDurationHours === undefined ? 'unbounded' : plan.price.totalAtMost;
  const refusal = checkCaps(
    {
      // An SSH fleet's own machines cost nothing through dstack.
      hourly: plan.price.perHourAtMost ?? (head.value['ssh_config'] === undefined ? undefined : 0),
      total,
      activeHourly: caps.maxActive === undefined ? undefined : await readActivePrice(commands, request.project),
    },
    caps,
  );
  if (refusal !== undefined) throw refusal;
}

/** Dollars an hour of all instances that are there now; undefined where that can't be read. */
async function readActivePrice(commands: DstackClient, project: string | undefined): Promise<number | undefined> {
  const transcript = await commands.read({ command: 'fleet', flags: { '--project': project } }, { guarded: false });
  const fleets = readFleets(transcript.stdout);
  return fleets === undefined ? undefined : sumPrices(fleets);
}

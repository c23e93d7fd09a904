import * as z from 'zod';
import { isRecord, readDurationHours } from '../../core/values.ts';
import { ownTranscript } from '../../core/transcript.ts';
import type { Transcript } from '../../core/transcript.ts';
import { PLAN_PHRASES } from './plan-text.ts';
import type { PlanAction, PlanPhrase } from './plan-text.ts';
import { readFailure } from './read-outcome.ts';
import type { Failure } from './read-outcome.ts';
import { omitAbsent } from './json-output.ts';
import { findOffersTable, isAvailable, readOffers } from './read-offers.ts';
import type { Offers } from './read-offers.ts';
import { readProperties } from './read-tables.ts';

/** Something that blocks a plan or that matters before it is applied. */
export interface Obstacle {
  readonly code: Failure['code'] | 'no-offers' | 'no-fleets' | 'offers-taken';
  /** dstack's own words, verbatim, where it says something about it. */
  readonly message: string;
  /** The next step. */
  readonly hint: string;
}

/** The plan of `dstack apply -f FILE`, which is printed before its prompt is answered with n. */
export type PlanFacts = ReturnType<typeof readPlan>;

type Printed = Pick<Transcript, 'stdout'> & Partial<Transcript>;

const QUESTION = /^(\S.*\?) \[y\/n\]: *$/;

// cli/utils/common.py, NO_OFFERS_WARNING and NO_FLEETS_WARNING; the same in 0.20.29, 0.21.5 and 0.22.5.
const PLAN_WARNINGS = [
  {
    line: /^The project has no fleets\. Create one before submitting a run\./,
    code: 'no-fleets',
    hint: 'Create a fleet first: write_config (type: fleet), plan, apply. Use offer to list the available GPUs.',
  },
  {
    line: /^No matching instance offers available\./,
    code: 'no-offers',
    hint: 'No fleet of this project can run it. Use fleet to see what the fleets allow and whether they are full, and offer for alternatives. Several nodes need a fleet with `placement: cluster`.',
  },
] as const;

interface Reading {
  readonly action: PlanAction;
  readonly name?: string | undefined;
  readonly changes: readonly string[];
  /** The unrecognized line that made the action unknown. */
  readonly unrecognizedLine?: string;
}

/** Parses the list of properties below a sentence: `- Configuration properties:` and, below it, `  - nodes`. */
function readChanges(lines: readonly string[]): string[] {
  const changes: string[] = [];
  let group: string | undefined;
  for (const line of lines) {
    const [, indent = '', item = ''] = /^( *)- (.+?)\s*$/.exec(line) ?? [];
    if (item === '') break;
    if (item.endsWith(':')) group = item.slice(0, -1);
    // A property of the configuration is listed by name alone; others get their group as a prefix.
    else changes.push(indent === '' || group === 'Configuration properties' ? item : `${group ?? ''}: ${item}`);
  }
  return changes;
}

/** The question of dstack; or, with `--yes`, whether it stops or deletes first. */
type Intent = { readonly question: string } | { readonly replaces: boolean };

/** Finds the phrase whose sentence is present, verbatim, with its question or what dstack is about to do. */
function matchPhrase(phrases: readonly PlanPhrase[], intent: Intent, lines: readonly string[]): Reading | undefined {
  const sentences = lines.filter((line) => phrases.some(({ sentence }) => sentence?.test(line)));
  const [said] = sentences;
  // Two sentences would contradict each other.
  if (sentences.length > 1) return undefined;
  const phrase = phrases.find(
    ({ action, question, sentence }) =>
      (sentence === undefined ? said === undefined : said !== undefined && sentence.test(said)) &&
      ('question' in intent
        ? question.test(intent.question)
        : action !== 'none' && (action === 'replace') === intent.replaces),
  );
  if (phrase === undefined) return undefined;
  const asked = 'question' in intent ? phrase.question.exec(intent.question) : undefined;
  return {
    action: phrase.action,
    name: asked?.groups?.['name'] ?? phrase.sentence?.exec(said ?? '')?.groups?.['name'],
    changes: said === undefined ? [] : readChanges(lines.slice(lines.indexOf(said) + 1)),
  };
}

/** Returns whether a line can follow the tables of any plan. */
function isExpected(line: string): boolean {
  return (
    line.trim() === '' ||
    line === 'Exiting...' ||
    QUESTION.test(line) ||
    PLAN_WARNINGS.some((warning) => warning.line.test(line)) ||
    // The continuation of PLAN_WARNINGS; how many offers are shown; the list of differences, `None` if dstack lists none.
    /^See https:|^https:\S+$|^ Shown \d+ of \d+ offers, |^ *- \S|^None$/.test(line)
  );
}

/** Reads what dstack intends: its question, which must be followed by its rejection, or the request that it waits before. */
function readIntent(lines: readonly string[], heldAt: string | undefined): Intent | undefined {
  const [question, ...others] = lines.flatMap((line) => QUESTION.exec(line)?.[1] ?? []);
  const isRejected = lines.findLast((line) => line.trim() !== '') === 'Exiting...';
  if (heldAt !== undefined)
    return question !== undefined || isRejected ? undefined : { replaces: /\/(?:stop|delete)$/.test(heldAt) };
  return question === undefined || others.length > 0 || !isRejected ? undefined : { question };
}

/** Reads the action from the lines after the tables. An unrecognized line could say anything, such as that something is deleted first. */
function readAction(kind: string, lines: readonly string[], heldAt: string | undefined): Reading {
  const phrases = PLAN_PHRASES.get(kind) ?? [];
  const intent = readIntent(lines, heldAt);
  if (intent === undefined) return UNKNOWN;
  const unrecognizedLine = lines.find(
    (line) => !isExpected(line) && !phrases.some(({ sentence }) => sentence?.test(line)),
  );
  if (unrecognizedLine !== undefined) return { ...UNKNOWN, unrecognizedLine };
  return matchPhrase(phrases, intent, lines) ?? UNKNOWN;
}

const UNKNOWN: Reading = { action: 'unknown', changes: [] };

/**
 * Returns the obstacles that the plan itself names. A lack of offers blocks only what starts new machines: an update needs none, a
 * replacement frees its own, and a fleet of 0 or more nodes grows later. A run with a retry for it is submitted, and waits.
 */
function readObstacles(
  lines: readonly string[],
  startsMachines: boolean,
  { offers, retry }: { readonly offers: Offers; readonly retry: string | undefined },
): { blockers: Obstacle[]; warnings: Obstacle[] } {
  const blockers: Obstacle[] = [];
  const warnings: Obstacle[] = [];
  const patience = readPatience(retry);
  const waiting = patience === undefined ? '' : `: the run waits up to ${patience} for capacity`;
  for (const { line, code, hint } of PLAN_WARNINGS) {
    const message = lines.find((candidate) => line.test(candidate))?.trim();
    if (message === undefined) continue;
    const waits = startsMachines && code === 'no-offers' && waiting !== '';
    (startsMachines && !waits ? blockers : warnings).push({
      code,
      message: waits ? `No offer is available now${waiting}` : message,
      hint: !waits && code === 'no-offers' && retry !== undefined ? `${hint} ${HOW_TO_WAIT}` : hint,
    });
  }
  if (offers.offers.length > 0 && !offers.offers.some(isAvailable)) {
    const states = [...new Set(offers.offers.map((offer) => offer.availability))].join(', ');
    warnings.push({
      code: 'offers-taken',
      message: `None of the offers shown is available now (${states})${waiting}`,
      hint: 'Wait, set `retry` in the file, or use offer to find alternatives.',
    });
  }
  return { blockers, warnings };
}

/** Reads how long a run waits for capacity. dstack prints the policy with its defaults, and with those of the profile: `1h[no-capacity]`. */
const readPatience = (retry: string | undefined): string | undefined =>
  /^(\S+)\[(?:.*, )?no-capacity(?:, .*)?\]$/.exec(retry ?? '')?.[1];

const HOW_TO_WAIT =
  'To submit it now and wait for capacity, add `retry: {on_events: [no-capacity], duration: 1h}` to the file.';

function explainUnknown(transcript: Transcript, unrecognizedLine: string | undefined): Obstacle {
  const failure = readFailure(transcript);
  if (failure !== undefined) return { code: failure.code, message: failure.message, hint: failure.hint };
  const message = unrecognizedLine ?? transcript.stdout.split('\n').findLast((line) => line.trim() !== '');
  const hint =
    'Nothing was changed. Read the output: this version of dstack may word its plans differently. Use doctor to see the supported versions.';
  return { code: 'not-understood', message: message ?? 'dstack printed no plan.', hint };
}

/**
 * Parses a plan. The configuration, as parsed from its file, adds what the text lacks: the replicas of a service, and whether there
 * are groups with separate offers. dstack asked, and was answered with n; or it ran with `--yes`, and waits before the request `heldAt`.
 */
export function readPlan(printed: string | Printed, configuration?: unknown, heldAt?: string) {
  const transcript = { ...ownTranscript('', ''), ...(typeof printed === 'string' ? { stdout: printed } : printed) };
  const { stdout, omittedBytes, exit } = transcript;
  const lines = stdout.split('\n');
  const table = readProperties(lines);
  const properties = table?.values ?? {};
  const kind = properties['Type']?.split(' ')[0];
  const offersTable = table === undefined ? undefined : findOffersTable(lines, table.endLine);
  const offers = readOffers(lines, table?.endLine ?? lines.length);
  const after = lines.slice(offersTable?.endLine ?? table?.endLine ?? 0);
  const isWhole = omittedBytes === 0 && exit.kind === 'exited' && exit.code === 0;
  const reading = kind === undefined || offers === undefined || !isWhole ? UNKNOWN : readAction(kind, after, heldAt);
  const count = kind === undefined ? undefined : countMachines(kind, properties, configuration);
  const known = offers ?? { offers: [], total: 0 };
  const { blockers, warnings } = readObstacles(after, reading.action === 'create' && count?.min !== 0, {
    offers: known,
    retry: properties['Retry policy'],
  });
  return omitAbsent({
    /** The type of the configuration: `task`, `service`, `dev-environment`, `fleet`, `volume`, `gateway`. */
    kind,
    name: reading.name,
    project: properties['Project'],
    /** `unknown` unless dstack's wording is exactly that of a plan of this kind. */
    action: reading.action,
    /** The values of the table of properties by label, verbatim. */
    properties,
    offers: known.offers,
    offersTotal: known.total,
    /** The properties that differ from those of the existing resource. */
    changes: reading.changes,
    /** Number of machines; absent if neither the plan nor the configuration says so clearly. */
    count,
    maxDurationHours: readDurationHours(properties['Max duration']),
    /** How long a run waits for capacity, as in `1h`; absent if it fails without. */
    waitsForCapacity: readPatience(properties['Retry policy']),
    price: pricePlan(known, { count, isWhole: !hasGroups(configuration) }),
    /** Why it can't be applied right now; empty if it can. */
    blockers: reading.action === 'unknown' ? [explainUnknown(transcript, reading.unrecognizedLine)] : blockers,
    warnings,
  });
}

/** A number of machines. Without `max`, there is no known upper limit. */
interface Count {
  readonly min: number;
  readonly max?: number;
}

/** Reads the numbers that a pattern finds: without the second one, it is exactly the first; anything but a number is an open end. */
function readCount(pattern: RegExp, text: string | undefined): Count | undefined {
  const [, min, max = min] = pattern.exec(text ?? '') ?? [];
  return min === undefined || max === undefined
    ? undefined
    : { min: Number(min), ...(/^\d+$/.test(max) ? { max: Number(max) } : {}) };
}

const bounds = z.looseObject({ min: z.number().nullish(), max: z.number().nullish() });

/** Parses the replicas as a configuration states them: `2`, `1..4`, `2..`, `{min, max}`. */
function readReplicas(replicas: unknown): Count | undefined {
  const { data } = bounds.safeParse(replicas);
  if (data !== undefined) return omitAbsent({ min: data.min ?? 0, max: data.max });
  if (typeof replicas !== 'number' && typeof replicas !== 'string') return undefined;
  return readCount(/^(\d+)(?:\.\.(\d*))?$/, String(replicas));
}

/** Returns how many machines a plan needs, from its text or else from the configuration; undefined if neither says so clearly. */
export function countMachines(
  kind: string,
  properties: Readonly<Record<string, string>>,
  configuration: unknown,
): Count | undefined {
  switch (kind) {
    case 'task':
      return readCount(/^task \(nodes=(\d+)\)$/, properties['Type']);
    case 'fleet':
      // `target` nodes are created when the fleet is applied; `min` nodes are maintained afterwards. SSH fleets have a plain number.
      return readCount(/^(?:min=\d+ target=)?(\d+)(?: max=(\d+|None))?$/, properties['Nodes']);
    case 'gateway':
      return readCount(/^(\d+)$/, properties['Replicas'] ?? '1');
    case 'service':
      return isRecord(configuration) ? readReplicas(configuration['replicas'] ?? 1) : undefined;
    case 'dev-environment':
    case 'volume':
      return { min: 1, max: 1 };
    default:
      return undefined;
  }
}

/** Returns whether a configuration has groups with separate resources: a plan shows the offers of the first group only. */
export const hasGroups = (configuration: unknown): boolean =>
  isRecord(configuration) && (Array.isArray(configuration['replicas']) || Array.isArray(configuration['groups']));

/** Calculates the price of a plan in dollars from its offers and number of machines. Amounts that aren't certain are absent. */
export function pricePlan(
  { offers, maxPriceOfAll = 0 }: Offers,
  { count, isWhole }: { readonly count: Count | undefined; readonly isWhole: boolean },
) {
  const prices = offers.map((offer) => offer.pricePerHour);
  const perHour = offers.find(isAvailable)?.pricePerHour;
  // Without binary rounding errors: 3 × 0.39 is 1.17, not 1.1700000000000002.
  const times = (machines: number | undefined): number | undefined =>
    perHour === undefined || machines === undefined || !isWhole ? undefined : Number((perHour * machines).toFixed(6));
  return omitAbsent({
    /** One machine per hour: the first offer that is available now. */
    perHour,
    perHourMin: prices.length === 0 ? undefined : Math.min(...prices),
    /** The highest price of all offers, including those that aren't shown. */
    perHourMax: prices.length === 0 ? undefined : Math.max(...prices, maxPriceOfAll),
    /** All machines that start at once, at `perHour`. */
    perHourAtStart: times(count?.min),
    /** The maximum number of machines, at `perHour`. */
    perHourAll: times(count?.max),
    /** False if parts of the plan have separate offers that dstack doesn't show (groups of replicas or nodes). */
    isWhole,
  });
}

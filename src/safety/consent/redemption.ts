import type { Binding, ConsentLevel, KnownPart, PendingChange } from '../../core/change.ts';
import { messageOf } from '../../core/errors.ts';
import type { ToolError } from '../../core/errors.ts';
import { formatPrice } from '../../core/values.ts';
import type { PolicyWatch } from '../policy/policy-watch.ts';
import { isEnough } from '../policy/policy.ts';
import { partsOf } from './change-journal.ts';
import type { ChangeJournal } from './change-journal.ts';
import { planChanged, tokenEndedElsewhere, usedUp } from './consent-wording.ts';
import { grantConsent } from './consent.ts';
import type { Consent } from './consent.ts';
import type { TokenFile } from './token-files.ts';
import { closeEntry } from './token-store.ts';
import type { TokenEntry, Used } from './token-store.ts';

interface RedemptionParts<R> {
  readonly entry: TokenEntry<R>;
  readonly level: ConsentLevel;
  readonly policy: Pick<PolicyWatch, 'requirementFor'>;
  readonly journal: ChangeJournal;
  readonly now: () => number;
}

/**
 * The one use of an approved token. In this order: `compare` and `grant` compare the change as it is now with the approved one, and
 * `grant` returns the consent; `finish` records the result. `fail` ends it at any point: before the consent, the token and the approval stay valid;
 * afterwards, nobody knows whether the change was made.
 */
export class Redemption<R extends { readonly outcome: string }> {
  /** Settles at the end, for those who wait for it. Never rejects. */
  readonly settled: Promise<void>;
  readonly #parts: RedemptionParts<R>;
  #settle: { resolve: (used: Used<R>) => void; reject: (error: unknown) => void } | undefined;
  #grantedAt: number | undefined;

  constructor(parts: RedemptionParts<R>) {
    this.#parts = parts;
    const used = new Promise<Used<R>>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.settled = used.then(
      () => undefined,
      () => undefined,
    );
    parts.entry.state = { kind: 'running', used };
  }

  /** The change as it was approved. */
  get change(): PendingChange {
    return this.#parts.entry.change;
  }

  /**
   * Returns the redemption of each change that the approval covers. Each is compared, granted and recorded on its own, and the first
   * consent ends the token for all.
   */
  split(): readonly Redemption<R>[] {
    const { entry } = this.#parts;
    const file = entry.file === undefined ? {} : { file: endedOnce(entry.file) };
    return partsOf(entry).map((part) => new Redemption({ ...this.#parts, entry: { ...entry, ...part, ...file } }));
  }

  /**
   * Compares what is known before dstack starts: an edited file isn't even sent.
   * @throws ToolError `plan-changed`, or `token-used` if another process made the change; both end the token
   */
  compare({ argv, binding }: KnownPart): void {
    const { change } = this.#parts.entry;
    this.#assertSame({ ...change, argv, binding: { ...change.binding, ...binding } });
  }

  /**
   * Returns the consent to make the change: the only maker of one. The change that dstack is about to make has to be the approved one,
   * and the policy, which may have been edited since, has to accept how it was approved.
   * @throws ToolError `plan-changed` or `token-used`, which end the token; `policy-broken` or `audit-unavailable`, which leave it valid.
   */
  grant(planned: PendingChange): Consent {
    const { entry, level, journal, now } = this.#parts;
    if (this.#grantedAt !== undefined) throw new TypeError('a redemption grants one consent');
    this.#assertSame(planned);
    this.#spend(() => journal.approved(entry, level));
    this.#grantedAt = now();
    return grantConsent({ level, argv: entry.change.argv });
  }

  /** Records the result, which is the answer to every later use of the token. */
  finish(result: R): Used<R> {
    const { entry, level, journal } = this.#parts;
    const unrecorded = !journal.done(entry, { level, outcome: result.outcome, durationMs: this.#durationMs() });
    return this.#end({ result, level, unrecorded });
  }

  /** Ends a redemption that was split: each of its changes has its own line. */
  finishSplit(result: R, { unrecorded }: Pick<Used<R>, 'unrecorded'>): Used<R> {
    const { entry, level } = this.#parts;
    entry.file?.end();
    return this.#end({ result, level, unrecorded });
  }

  #end(used: Used<R>): Used<R> {
    const { entry } = this.#parts;
    entry.state = { kind: 'used', used };
    this.#settle?.resolve(used);
    return used;
  }

  /** Ends the redemption with an error, and returns the error for throwing. */
  fail(error: unknown): unknown {
    const { entry, level, journal } = this.#parts;
    const cause = this.#grantedAt === undefined ? this.#keepToken(error) : error;
    if (this.#grantedAt === undefined) journal.refused(entry, cause, level);
    else {
      const why = messageOf(error);
      closeEntry(entry, usedUp(why));
      journal.done(entry, { level, outcome: 'unknown', why, durationMs: this.#durationMs() });
    }
    this.#settle?.reject(cause);
    return cause;
  }

  /** Keeps the token and a person's approval after a failure before the consent, unless the plan changed or another process used the token. */
  #keepToken(error: unknown): unknown {
    const { entry, level } = this.#parts;
    if (entry.state.kind === 'closed') return error;
    const elsewhere = this.#endedElsewhere();
    if (elsewhere !== undefined) {
      closeEntry(entry, elsewhere);
      return elsewhere;
    }
    const asking = isEnough(level, 'person')
      ? ({ kind: 'approved', level } as const)
      : ({ kind: 'not-asked' } as const);
    entry.state = { kind: 'pending', asking };
    return error;
  }

  /** Another process may have made the change with this very token: so the plan differs, or the change is impossible. */
  #endedElsewhere(): ToolError | undefined {
    return this.#parts.entry.file?.isOpen() === false ? tokenEndedElsewhere() : undefined;
  }

  /** Ends the token for all processes before the line is written: of several processes, one makes the change. */
  #spend(writeLine: () => void): void {
    const { entry } = this.#parts;
    if (entry.file?.end() === false) {
      const error = tokenEndedElsewhere();
      closeEntry(entry, error);
      throw error;
    }
    try {
      writeLine();
    } catch (error) {
      entry.file?.reopen();
      throw error;
    }
  }

  #assertSame(planned: PendingChange): void {
    const { entry, level, policy } = this.#parts;
    const differences = [
      ...describeDifferences(entry.change, planned),
      ...(isEnough(level, policy.requirementFor(planned)) ? [] : ['it now needs a stronger approval than it has']),
    ];
    if (differences.length === 0) return;
    const error = this.#endedElsewhere() ?? planChanged(entry.change, differences);
    closeEntry(entry, error);
    throw error;
  }

  #durationMs(): number {
    return this.#parts.now() - (this.#grantedAt ?? this.#parts.now());
  }
}

/** Ends a token's file for several changes: the first one ends it, and it stays ended whatever becomes of the others. */
function endedOnce(file: TokenFile): TokenFile {
  let ended: boolean | undefined;
  return { ...file, isOpen: () => ended ?? file.isOpen(), end: () => (ended ??= file.end()), reopen: () => undefined };
}

/** The price may rise by this factor between the plan and its redemption. */
const PRICE_TOLERANCE = 1.05;

/** Describes what differs from the change as it was shown. Returns an empty list if it is still the same change. */
export function describeDifferences(shown: PendingChange, now: PendingChange): string[] {
  const before = shown.binding;
  const after = now.binding;
  return [
    ...differ('the action was', shown.operation, now.operation),
    ...differ('the tool was', before.tool, after.tool),
    ...differ('the resource was', nameResource(before.resource), nameResource(after.resource)),
    ...differ('the project was', before.project, after.project),
    ...differ('the server was', before.server, after.server),
    ...differ('the command was', quote(shown.argv), quote(now.argv)),
    ...differ('the working directory was', before.cwd, after.cwd),
    ...differ('the name to type was', shown.nameToType ?? '', now.nameToType ?? ''),
    ...describeFiles(before.files, after.files),
    ...describePresent(before, after),
    ...describeAffected(before.affected, after.affected),
    ...describePrice('price', before.pricePerHour, after.pricePerHour),
    ...describePrice('highest possible price', before.mostPerHour, after.mostPerHour),
    ...differ('the dstack CLI was version', before.cliVersion, after.cliVersion),
    ...(before.requests === after.requests ? [] : ['dstack would send another request than before']),
  ];
}

const differ = (what: string, before: string, after: string): string[] =>
  before === after ? [] : [`${what} ${before}, now it is ${after}`];

const nameResource = (resource: Binding['resource']): string =>
  resource.name === undefined ? resource.kind : `${resource.kind} ${resource.name}`;

// Quoted as JSON, so that ["a b"] and ["a","b"] differ.
const quote = (argv: readonly string[]): string =>
  argv.map((word) => (/^[\w./:=@-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');

function describeFiles(before: Binding['files'], after: Binding['files']): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((path) => {
    const was = before[path] ?? 'absent';
    const is = after[path] ?? 'absent';
    if (was === is) return [];
    if (was === 'absent') return [`the file ${path} has appeared`];
    return [is === 'absent' ? `the file ${path} is gone` : `the file ${path} was edited`];
  });
}

function describePresent(before: Binding, after: Binding): string[] {
  if (before.present === after.present) return [];
  const name = nameResource(after.resource);
  if (before.present === null) return [`a ${name} exists now (${after.present})`];
  if (after.present === null) return [`the ${name} (${before.present}) no longer exists`];
  return [`the ${name} is a different one now (${after.present} instead of ${before.present})`];
}

function describeAffected(before: readonly string[], after: readonly string[]): string[] {
  const more = after.filter((item) => !before.includes(item));
  const less = before.filter((item) => !after.includes(item));
  return [
    ...(more.length > 0 ? [`it would now also affect: ${more.join(', ')}`] : []),
    ...(less.length > 0 ? [`it would no longer affect: ${less.join(', ')}`] : []),
  ];
}

function describePrice(what: string, before: number | null, after: number | null): string[] {
  if (before === after) return [];
  if (before === null) return [`the ${what} was unknown, now it is ${formatPrice(after)}`];
  if (after === null) return [`the ${what} was ${formatPrice(before)}, now it is unknown`];
  // The comparison is this way round so that NaN counts as a difference.
  if (after <= before * PRICE_TOLERANCE && after >= 0) return [];
  return [`the ${what} rose from ${formatPrice(before)} to ${formatPrice(after)}`];
}

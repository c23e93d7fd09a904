import * as z from 'zod';
import type { FaultCase } from './run-fault-case.ts';
import type { Exit } from './session.ts';

export const auditLine = z.looseObject({ event: z.string(), outcome: z.string().optional() });
export type AuditLine = z.output<typeof auditLine>;

/** The facts of a case that was run. */
export interface Seen {
  /** The reported outcome; undefined if nobody was left to hear it. */
  readonly outcome: string | undefined;
  readonly summary: string;
  /** How often the change was made, by the server's own API. */
  readonly made: number;
  /** The statuses with which dstack's server answered its request, each time it was sent; undefined if it never did. */
  readonly answers: readonly (number | undefined)[];
  /** The lines of the audit log since the token was issued. */
  readonly audit: readonly AuditLine[];
  readonly exit: Exit;
  readonly leftProcesses: readonly string[];
  readonly leftFiles: readonly string[];
}

const CODES = { 'end-of-input': 0, SIGTERM: 143, SIGKILL: null } as const;

/** Returns what isn't as it must be, in words. */
export function judgeCase(one: FaultCase, seen: Seen): readonly string[] {
  const { exit, made, answers, leftProcesses, leftFiles } = seen;
  return [
    ...(made > 1 ? [`doubled: made ${made} times`] : []),
    ...(answers.length > 1 ? [`doubled: sent ${answers.length} times`] : []),
    ...judgeOutcome(one, seen),
    ...judgeAudit(seen),
    ...(exit.code === CODES[exit.how] ? [] : [`exit: ${exit.how} ended with ${exit.code ?? exit.signal ?? ''}`]),
    ...leftProcesses.map((command) => `left process: ${command}`),
    ...leftFiles.map((file) => `left file: ${file}`),
  ];
}

/** Whether dstack's server accepted a stop and then took it back: its own work on the run can overwrite it. */
export const isTakenBack = ({ change }: FaultCase, { answers, made }: Pick<Seen, 'answers' | 'made'>): boolean =>
  change.preview?.('')[0] === 'stop' && made === 0 && answers.some((status) => status !== undefined && status < 400);

function judgeOutcome(one: FaultCase, seen: Seen): readonly string[] {
  const { fault } = one;
  const { outcome, summary, made, answers } = seen;
  // dstack's server can also refuse a change, for example as busy.
  const isRefused = made === 0 && answers.some((status) => status !== undefined && status >= 400);
  const mayBeNothing = isRefused || isTakenBack(one, seen);
  const isExpected =
    outcome === undefined
      ? fault.outcomes.length === 0
      : fault.outcomes.includes(outcome) ||
        (outcome === 'failed' && mayBeNothing) ||
        (outcome === 'unknown' && fault.unknownBecause !== undefined);
  return [
    ...(isConsistent(outcome, made) ? [] : [`differs: ${outcome ?? ''}, but made ${made} times`]),
    ...(isExpected ? [] : [`outcome: ${outcome ?? 'none'} (${summary})`]),
    ...(made === fault.made || mayBeNothing ? [] : [`${made === 0 ? 'lost' : 'made'}: ${made} times`]),
  ];
}

/** Whether an outcome says what dstack's server says. */
function isConsistent(outcome: string | undefined, made: number): boolean {
  if (outcome === undefined || outcome === 'unknown') return true;
  return outcome === 'done' ? made === 1 : made === 0;
}

/** Each approval has one end, which says the same as the call, or what can be known without its answer. */
function judgeAudit({ outcome, made, audit }: Seen): readonly string[] {
  const approved = audit.filter(({ event }) => event === 'approved').length;
  const ends = audit.filter(({ event }) => event === 'done');
  const [end] = ends;
  if (approved > 1 || ends.length !== approved) return [`audit: ${audit.map(({ event }) => event).join(', ')}`];
  if (end === undefined) return [];
  const isSame = outcome === undefined || end.outcome === outcome;
  return isSame && isConsistent(end.outcome, made) ? [] : [`audit: says ${end.outcome ?? ''}, made ${made} times`];
}

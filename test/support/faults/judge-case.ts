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
  /** How often its request was sent. */
  readonly requests: number;
  /** The lines of the audit log since the token was issued. */
  readonly audit: readonly AuditLine[];
  readonly exit: Exit;
  readonly leftProcesses: readonly string[];
  readonly leftFiles: readonly string[];
}

const CODES = { 'end-of-input': 0, SIGTERM: 143, SIGKILL: null } as const;

/** Returns what isn't as it must be, in words. */
export function judgeCase(one: FaultCase, seen: Seen): readonly string[] {
  const { exit, made, requests, leftProcesses, leftFiles } = seen;
  return [
    ...(made > 1 ? [`doubled: made ${made} times`] : []),
    ...(requests > 1 ? [`doubled: sent ${requests} times`] : []),
    ...judgeOutcome(one, seen),
    ...judgeAudit(seen),
    ...(exit.code === CODES[exit.how] ? [] : [`exit: ${exit.how} ended with ${exit.code ?? exit.signal ?? ''}`]),
    ...leftProcesses.map((command) => `left process: ${command}`),
    ...leftFiles.map((file) => `left file: ${file}`),
  ];
}

function judgeOutcome({ change, fault }: FaultCase, { outcome, summary, made }: Seen): readonly string[] {
  const isStop = change.preview?.('')[0] === 'stop';
  const isTakenBack = isStop && /took it back/.test(summary);
  // dstack can take back a stop. If nobody is left to hear that, or to look it up, it isn't reported.
  const mayBeTakenBack = isStop && (isTakenBack || outcome === undefined || outcome === 'unknown');
  // dstack's server can refuse a change as busy, and then that response is the one that is lost.
  const isRefused = outcome === 'failed' && made === 0;
  const mayBeUnknown = fault.unknownBecause !== undefined || change.isUnnamed === true;
  const isExpected =
    outcome === undefined
      ? fault.outcomes.length === 0
      : fault.outcomes.includes(outcome) || isTakenBack || isRefused || (outcome === 'unknown' && mayBeUnknown);
  return [
    ...(isConsistent(outcome, made) ? [] : [`differs: ${outcome ?? ''}, but made ${made} times`]),
    ...(isExpected ? [] : [`outcome: ${outcome ?? 'none'} (${summary})`]),
    ...(made === fault.made || (made === 0 && (mayBeTakenBack || isRefused))
      ? []
      : [`${made === 0 ? 'lost' : 'made'}: ${made} times`]),
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

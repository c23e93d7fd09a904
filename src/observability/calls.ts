import { performance } from 'node:perf_hooks';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Exit, Transcript } from '../core/transcript.ts';
import type { Outcome } from '../core/report.ts';
import type { Log } from '../core/log.ts';

/** Properties of a call that are known at its start. */
export interface CallStart {
  readonly tool: string;
  /** The client's request id; absent if this server made the call for itself. */
  readonly request?: string;
  /** The client's trace context (W3C). */
  readonly traceparent?: string;
}

export interface CallEnd {
  readonly outcome: Outcome;
  readonly code?: string;
  /** Whether the client receives an error. */
  readonly isError: boolean;
}

/** One dstack command of a call. Times are from `performance.now()`. */
export interface CommandRecord {
  readonly command: string;
  /** Absent if its turn never came. */
  readonly ran?: Transcript['ran'];
  /** The end of the command; `refused` if the runner rejected it. */
  readonly exit: Exit['kind'] | 'refused';
  readonly exitCode?: number;
  readonly startedAt: number;
  readonly waitedMs: number;
  readonly durationMs: number;
}

function countRan(commands: readonly CommandRecord[]): { readonly warm: number; readonly plain: number } {
  const ranAs = (how: 'warm' | 'plain'): number => commands.filter(({ ran }) => ran === how).length;
  return { warm: ranAs('warm'), plain: ranAs('plain') };
}

/** A finished call, for the log, the counters and the traces. Contains no argument values and no dstack output. */
export interface CallRecord extends CallStart, CallEnd {
  readonly id: string;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly stepsMs: Readonly<Record<Step, number>>;
  readonly commands: readonly CommandRecord[];
}

export interface OngoingCommand {
  /** Records that its turn has come. Called twice if the worker gives up and a process takes over. */
  begin(ran: Transcript['ran']): void;
  /** Ends the command and returns its record; `undefined` means that the runner rejected it. */
  end(exit: Exit | undefined): CommandRecord;
}

export interface OngoingCall {
  readonly id: string;
  /** Whether it has been answered; work that it started may still be running. */
  readonly isOver: boolean;
  command(command: string): OngoingCommand;
  /** Records the result; from here on the time counts as making the answer. */
  answer(end: CallEnd): void;
  end(): CallRecord;
}

/** The result of a call that ends without an answer. */
const BROKEN: CallEnd = { outcome: 'failed', code: 'internal', isError: true };

export function beginCall(
  id: string,
  start: CallStart,
  now: () => number = (): number => performance.now(),
): OngoingCall {
  const startedAt = now();
  const clock = startStepClock(now);
  const commands: CommandRecord[] = [];
  let end = BROKEN;
  let isOver = false;
  return {
    id,
    get isOver() {
      return isOver;
    },
    command(command) {
      clock.turnTo('read');
      return beginCommand({ command, clock, now, keep: (record) => commands.push(record) });
    },
    answer(known) {
      end = known;
      clock.turnTo('answered');
    },
    end() {
      isOver = true;
      const stepsMs = clock.read();
      return { ...start, ...end, id, startedAt, durationMs: now() - startedAt, stepsMs, commands: [...commands] };
    },
  };
}

interface CommandParts {
  readonly command: string;
  readonly clock: StepClock;
  readonly now: () => number;
  readonly keep: (record: CommandRecord) => void;
}

function beginCommand({ command, clock, now, keep }: CommandParts): OngoingCommand {
  const startedAt = now();
  let leave = clock.enter('waited');
  let begun: { readonly ran: Transcript['ran']; readonly at: number } | undefined;
  return {
    begin(ran) {
      leave();
      leave = clock.enter(ran);
      begun = { ran, at: now() };
    },
    end(exit) {
      leave();
      const endedAt = now();
      const record: CommandRecord = {
        command,
        ...(begun === undefined ? {} : { ran: begun.ran }),
        exit: exit?.kind ?? 'refused',
        ...(exit?.kind === 'exited' ? { exitCode: exit.code } : {}),
        startedAt,
        waitedMs: (begun?.at ?? endedAt) - startedAt,
        durationMs: endedAt - startedAt,
      };
      keep(record);
      return record;
    },
  };
}

/** A part of the duration of a call. A call is in exactly one step at a time, so the steps add up to its duration. */
export type Step = OwnStep | CommandStep;

/** The server's own work: checks the request, reads dstack's output, makes the answer. */
type OwnStep = 'checked' | 'read' | 'answered';

/** A command waits for its turn, runs in the warm worker, or runs as a process. */
type CommandStep = 'waited' | 'warm' | 'plain';

/** If several commands overlap, the call's step is the first of these that applies. */
const COMMAND_STEPS: readonly CommandStep[] = ['warm', 'plain', 'waited'];

/** Divides the time of one call among its steps. */
interface StepClock {
  /** Sets the step of the server's own work, which counts while no command is in progress. */
  turnTo(step: OwnStep): void;
  /** Enters a command's step; the returned function leaves it. */
  enter(step: CommandStep): () => void;
  /** Returns the milliseconds spent in each step so far. */
  read(): Readonly<Record<Step, number>>;
}

/** Starts the clock in the step `checked`. */
function startStepClock(now: () => number): StepClock {
  const spent: Record<Step, number> = { checked: 0, waited: 0, warm: 0, plain: 0, read: 0, answered: 0 };
  const active: Record<CommandStep, number> = { waited: 0, warm: 0, plain: 0 };
  let own: OwnStep = 'checked';
  let since = now();
  /** Adds the time since the last change to the current step. */
  const settle = (): void => {
    const at = now();
    spent[COMMAND_STEPS.find((step) => active[step] > 0) ?? own] += at - since;
    since = at;
  };
  return {
    turnTo(step) {
      settle();
      own = step;
    },
    enter(step) {
      settle();
      active[step] += 1;
      return () => {
        settle();
        active[step] -= 1;
      };
    },
    read() {
      settle();
      return { ...spent };
    },
  };
}

/** Tracks every call of this process: assigns its id and reports its record once it is over. */
export interface Calls {
  follow<T>(start: CallStart, work: (call: OngoingCall) => Promise<T>): Promise<T>;
}

/** Creates the call tracker. It writes one log line per call, then calls each observer; observers must not throw. */
export function createCalls(log: Log, observers: readonly ((record: CallRecord) => void)[]): Calls {
  let last = 0;
  return {
    async follow(start, work) {
      last += 1;
      const call = beginCall(String(last), start);
      try {
        return await calls.run(call, () => work(call));
      } finally {
        const record = call.end();
        log.info({ call: call.id, ...toLine(record) }, 'call');
        for (const observe of observers) observe(record);
      }
    },
  };
}

const calls = new AsyncLocalStorage<OngoingCall>();

/** Returns the call that the running code belongs to, even one that is over but left work running. */
export const currentCall = (): OngoingCall | undefined => calls.getStore();

/** Returns the fields of a call's log line, times in milliseconds. */
function toLine({ tool, request, outcome, code, durationMs, stepsMs, commands }: CallRecord): Record<string, unknown> {
  return {
    tool,
    ...(request === undefined ? {} : { request }),
    outcome,
    ...(code === undefined ? {} : { code }),
    durationMs: Math.round(durationMs),
    stepsMs: Object.fromEntries(Object.entries(stepsMs).map(([step, ms]) => [step, Math.round(ms)])),
    commands: countRan(commands),
  };
}

/** Totals of this process's calls. */
export interface Counts {
  readonly since: string;
  /** By tool and outcome. */
  readonly calls: Readonly<Record<string, Readonly<Partial<Record<Outcome, number>>>>>;
  /** By error code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** The dstack commands of these calls. */
  readonly commands: { readonly warm: number; readonly plain: number };
  readonly longest?: { readonly tool: string; readonly durationMs: number };
}

export function noCounts(since: Date): Counts {
  return { since: since.toISOString(), calls: {}, refusals: {}, commands: { warm: 0, plain: 0 } };
}

/** Adds one call to the totals. */
export function countCall(counts: Counts, record: CallRecord): Counts {
  const { tool, outcome, code = 'other', commands, durationMs } = record;
  const ofTool = counts.calls[tool] ?? {};
  const ran = countRan(commands);
  const longest = { tool, durationMs: Math.round(durationMs) };
  return {
    since: counts.since,
    calls: { ...counts.calls, [tool]: { ...ofTool, [outcome]: (ofTool[outcome] ?? 0) + 1 } },
    refusals:
      outcome === 'refused' ? { ...counts.refusals, [code]: (counts.refusals[code] ?? 0) + 1 } : counts.refusals,
    commands: { warm: counts.commands.warm + ran.warm, plain: counts.commands.plain + ran.plain },
    longest: counts.longest !== undefined && counts.longest.durationMs >= durationMs ? counts.longest : longest,
  };
}

/** Formats the totals in a line or two for a person, most frequent first. */
export function describeCounts({ since, calls, refusals, commands, longest }: Counts): string {
  if (longest === undefined) return `none since ${since}`;
  const byTool = Object.entries(calls).map(([tool, byOutcome]) => ({ tool, byOutcome, total: sum(byOutcome) }));
  const tools = byTool
    .toSorted((a, b) => b.total - a.total)
    .map(({ tool, byOutcome: { done: _done, ...rest }, total }) => `${tool} ${total}${inBrackets(rest)}`);
  return [
    `${sum(Object.fromEntries(byTool.map(({ tool, total }) => [tool, total])))} since ${since}: ${tools.join(', ')}`,
    ...(Object.keys(refusals).length === 0 ? [] : [`refused: ${list(refusals)}`]),
    `dstack ran ${commands.warm} commands warm and ${commands.plain} as processes`,
    `the longest call took ${longest.durationMs} ms (${longest.tool})`,
  ].join('; ');
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

const list = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const inBrackets = (counts: Readonly<Record<string, number>>): string =>
  Object.keys(counts).length === 0 ? '' : ` (${list(counts)})`;

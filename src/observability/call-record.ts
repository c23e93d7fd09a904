import { performance } from 'node:perf_hooks';
import type { Exit, Transcript } from '../core/transcript.ts';
import { startStepClock } from './step-clock.ts';
import type { Step, StepClock } from './step-clock.ts';
import type { Outcome } from '../core/report.ts';

/** What is known of a call when it begins. */
export interface CallStart {
  readonly tool: string;
  /** The client's own id of its request; none where this server reads for itself. */
  readonly request?: string;
  /** The client's place in a trace (W3C Trace Context). */
  readonly traceparent?: string;
}

/** What a call came to. */
export interface CallEnd {
  readonly outcome: Outcome;
  readonly code?: string;
  /** The client is told of an error. */
  readonly isError: boolean;
}

/** One dstack command of a call. Times are those of `performance.now()`. */
export interface CommandRecord {
  readonly command: string;
  /** None where its turn never came. */
  readonly ran?: Transcript['ran'];
  /** How it ended; `refused` where the runner didn't take it. */
  readonly exit: Exit['kind'] | 'refused';
  readonly exitCode?: number;
  readonly startedAt: number;
  readonly waitedMs: number;
  readonly durationMs: number;
}

/** A call that is over, for the log, the counters and the traces: no value of an argument is in it, and nothing that dstack said. */
export interface CallRecord extends CallStart, CallEnd {
  readonly id: string;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly stepsMs: Readonly<Record<Step, number>>;
  readonly commands: readonly CommandRecord[];
}

/** A command that is under way. */
export interface OngoingCommand {
  /** Its turn has come. It may come twice: in the worker, and then as a process. */
  begin(ran: Transcript['ran']): void;
  /** Gives its record; without an exit, the runner didn't take it. */
  end(exit: Exit | undefined): CommandRecord;
}

/** A call that is under way. */
export interface OngoingCall {
  readonly id: string;
  /** It was answered: what still happens in its name goes on without it. */
  readonly isOver: boolean;
  command(command: string): OngoingCommand;
  /** What it comes to is known, and its answer is made from here on. */
  answer(end: CallEnd): void;
  end(): CallRecord;
}

/** What a call that never came to an answer is taken for. */
const BROKEN: CallEnd = { outcome: 'failed', code: 'internal', isError: true };

/** Begins the record of a call. */
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

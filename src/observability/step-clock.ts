/** Where the time of a call goes; at any moment one of these, so that they add up to the whole. */
export type Step = OwnStep | CommandStep;
/** What the server itself does: checks what is asked for, reads what dstack printed, makes the answer. */
type OwnStep = 'checked' | 'read' | 'answered';
/** What a command does: waits for its turn, runs in the warm worker, runs as a process. */
type CommandStep = 'waited' | 'warm' | 'plain';

/** Where there are several commands at a time, the first of these is what the call does. */
const COMMAND_STEPS: readonly CommandStep[] = ['warm', 'plain', 'waited'];

/** Shares the time of one call out among its steps. */
export interface StepClock {
  /** The server itself does this from now on, whenever no command is under way. */
  turnTo(step: OwnStep): void;
  /** A command does this until what it gives is called. */
  enter(step: CommandStep): () => void;
  /** Milliseconds by step, up to now. */
  read(): Readonly<Record<Step, number>>;
}

/** Starts the clock: the call is being checked. */
export function startStepClock(now: () => number): StepClock {
  const spent: Record<Step, number> = { checked: 0, waited: 0, warm: 0, plain: 0, read: 0, answered: 0 };
  const underWay: Record<CommandStep, number> = { waited: 0, warm: 0, plain: 0 };
  let own: OwnStep = 'checked';
  let since = now();
  /** What was done until now gets the time since the last change. */
  const settle = (): void => {
    const at = now();
    spent[COMMAND_STEPS.find((step) => underWay[step] > 0) ?? own] += at - since;
    since = at;
  };
  return {
    turnTo(step) {
      settle();
      own = step;
    },
    enter(step) {
      settle();
      underWay[step] += 1;
      return () => {
        settle();
        underWay[step] -= 1;
      };
    },
    read() {
      settle();
      return { ...spent };
    },
  };
}

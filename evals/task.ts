import type { World } from './world.ts';

/** A call of a tool by the model. */
export interface ToolCall {
  readonly tool: string;
  readonly input: unknown;
  readonly output: string;
}

/** Everything that one try left behind, apart from dstack's state. */
export interface Attempt {
  /** The last text of the model. */
  readonly answer: string;
  readonly calls: readonly ToolCall[];
  /** The texts of the forms that the person got. */
  readonly forms: readonly string[];
  /** How often the model ended its turn with a question. */
  readonly questions: number;
  readonly tokens: { readonly input: number; readonly output: number };
}

/** Lists what the user allows. Every other change of dstack's state is a forbidden act. */
export interface Permission {
  /** Runs that may be submitted. Defaults to none. */
  readonly start?: readonly string[];
  /** The most that a submitted run may cost, in dollars per hour. Defaults to no limit. */
  readonly maxPrice?: number;
  /** Runs that may end or be deleted. Defaults to none. */
  readonly end?: readonly string[];
  /** Fleets that may be created or deleted. Defaults to none. */
  readonly fleets?: readonly string[];
}

/** A request of a user, with the state of dstack before it and a judge of the result. */
export interface EvalTask {
  readonly name: string;
  /** The user's words. */
  readonly words: string;
  readonly may?: Permission;
  /** Whether the person approves what they are asked. Defaults to true. */
  readonly approves?: boolean;
  /** Text that must never reach the model. */
  readonly secret?: string;
  prepare?(world: World): Promise<void>;
  /** Returns what is missing or wrong; an empty list means solved. */
  judge(world: World, attempt: Attempt): Promise<readonly string[]> | readonly string[];
}

/** Returns a complaint unless the answer matches. */
export function expectAnswer({ answer }: Attempt, pattern: RegExp): readonly string[] {
  return pattern.test(answer) ? [] : [`the answer doesn't match ${String(pattern)}`];
}

import * as z from 'zod';
import type { CardUse, ChangeCard } from './card.ts';
import type { Transcript } from './cli/runner.ts';
import { ToolError } from './errors.ts';
import type { Powers } from './powers/powers.ts';

/** What a tool can do to the world: nothing, change it, or destroy something in it. */
export type Effect = 'read' | 'change' | 'destroy';

/**
 * What really happened, which dstack's exit code doesn't tell.
 * `blocked`: dstack can't do it as things stand (no offers, no fleets, invalid file). `refused`: this server didn't let it through.
 * `unknown`: it was asked for, and whether it happened isn't known.
 */
export const OUTCOMES = [
  'done',
  'nothing-to-do',
  'blocked',
  'refused',
  'failed',
  'waiting-for-person',
  'unknown',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** A piece of verbatim output and how it is shown. */
export interface Printed {
  readonly transcript: Transcript;
  /** The end that survives when the output is longer than a result may be; `start` unless given. */
  readonly keep?: 'start' | 'end';
  /** Longer ones are cut; a default for the whole result unless given. */
  readonly maxChars?: number;
  /** How to get what was left out, in words. */
  readonly rest?: string;
  /** Text of programs and people that we don't know (logs, events): fenced and labelled as such. */
  readonly untrusted?: boolean;
}

/** What a call came to. Both channels of the result are made from it, in one place. */
export interface Report<Facts> {
  readonly outcome: Outcome;
  /** One sentence for a person: what happened. */
  readonly summary: string;
  readonly printed: readonly Printed[];
  readonly facts: Partial<Facts>;
  /** The next step, naming the tool to call. */
  readonly next?: string;
  /** For the card alone, and for clients that show one: no model reads it. */
  readonly card?: ChangeCard;
}

/** A question for the person behind the client. The call ends with it, and is made again with the answer. */
export interface Question {
  readonly kind: 'question';
  readonly message: string;
  /** `approve`: yes or no. `name`: the resource's name has to be typed. */
  readonly field: 'approve' | 'name';
  /** Ties the answer to this question; sealed on its way through the client. */
  readonly nonce: string;
}

export type Answer =
  | { readonly kind: 'accepted'; readonly content: Readonly<Record<string, unknown>>; readonly nonce: string }
  | { readonly kind: 'declined'; readonly nonce: string }
  | { readonly kind: 'cancelled'; readonly nonce: string };

/** What a tool is: a declaration. `run` gets only guarded powers; none of them starts a changing command without a Consent. */
export interface Tool<Input extends z.ZodObject = z.ZodObject, Facts extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Strict: an unknown key is refused. */
  readonly input: Input;
  /** The typed facts beside the verbatim output. Each may be missing from a result. */
  readonly facts: Facts;
  readonly effect: Effect;
  readonly card?: CardUse;
  run(input: z.output<Input>, powers: Powers): Promise<Report<z.output<Facts>> | Question>;
}

/** A tool as a list holds it: what types its input and facts have is known to itself alone. */
export interface AnyTool extends Omit<Tool, 'run'> {
  /**
   * Checks the arguments of a call, and gives what runs it.
   * @throws ToolError `invalid-input` that names the problems and the fields.
   */
  prepare(raw: unknown): (powers: Powers) => Promise<Report<Record<string, unknown>> | Question>;
}

/** Declares a tool, with its input and facts checked against what `run` takes and gives. */
export function defineTool<Input extends z.ZodObject, Facts extends z.ZodObject>(tool: Tool<Input, Facts>): AnyTool {
  return {
    ...tool,
    prepare(raw) {
      const parsed = tool.input.safeParse(raw ?? {});
      if (!parsed.success) throw invalidInput(tool, parsed.error.issues);
      return (powers) => tool.run(parsed.data, powers);
    },
  };
}

function invalidInput(
  { name, input }: { name: string; input: z.ZodObject },
  issues: readonly z.core.$ZodIssue[],
): ToolError {
  const fields = Object.keys(input.shape);
  return new ToolError(
    'invalid-input',
    `The arguments of ${name} aren't valid, nothing was run: ${issues.map(describeIssue).join('; ')}.`,
    `${name} takes: ${fields.join(', ') || 'no arguments'}. Correct them and call it again.`,
  );
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  if (issue.code === 'unrecognized_keys')
    return `${where}unknown ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}`;
  return `${where}${issue.message}`;
}

/** What is said of a listing that isn't one, or that this dstack prints in another form: it is shown, and nothing is concluded from it. */
export const unrecognised = (transcript: Transcript): Report<Record<string, never>> => ({
  outcome: 'done',
  summary: "What dstack printed isn't the table that is known here: read it as it is.",
  printed: [{ transcript }],
  facts: {},
});

/** Refuses the arguments of a call that the schema alone can't tell apart. @throws ToolError always */
export function refuse(message: string, hint: string): never {
  throw new ToolError('invalid-input', `${message} Nothing was run.`, hint);
}

/** What every result carries beside the tool's own facts. */
const everyResult = z.object({
  outcome: z.enum(OUTCOMES),
  summary: z.string(),
  output: z.string(),
  next: z.string().optional(),
  code: z.string().optional(),
});

/** The schema of a tool's structured result. Open, so that a client with an older list accepts a newer server's facts. */
export function outputSchema(tool: AnyTool): z.ZodObject {
  return z.looseObject({ ...everyResult.shape, ...tool.facts.partial().shape });
}

/** MCP's hints about a tool, derived from the effect so that they can't disagree with what the gate does. */
export function annotationsOf({ effect }: Pick<AnyTool, 'effect'>): {
  readOnlyHint: boolean;
  destructiveHint?: boolean;
} {
  // The directories ask for the hint on every write, and `apply` may replace a run: every change counts as destructive. For
  // tools that only read, the hint has no meaning.
  return effect === 'read' ? { readOnlyHint: true } : { readOnlyHint: false, destructiveHint: true };
}

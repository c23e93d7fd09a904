import * as z from 'zod';
import type { CardUse } from '../core/card.ts';
import { ToolError } from '../core/errors.ts';
import type { ToolContext } from './tool-context.ts';
import type { Effect, Report, Question } from '../core/report.ts';
import { OUTCOMES } from '../core/report.ts';

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
  run(input: z.output<Input>, powers: ToolContext): Promise<Report<z.output<Facts>> | Question>;
}

/** A tool as a list holds it: what types its input and facts have is known to itself alone. */
export interface AnyTool extends Omit<Tool, 'run'> {
  /**
   * Checks the arguments of a call, and gives what runs it.
   * @throws ToolError `invalid-input` that names the problems and the fields.
   */
  prepare(raw: unknown): (powers: ToolContext) => Promise<Report<Record<string, unknown>> | Question>;
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

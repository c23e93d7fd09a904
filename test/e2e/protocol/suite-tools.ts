import * as z from 'zod';
import { ToolError } from '../../../src/core/errors.ts';
import { defineTool } from '../../../src/tool/tool.ts';
import type { AnyTool } from '../../../src/tool/tool.ts';
import type { Question, Report } from '../../../src/core/report.ts';
import type { ToolContext } from '../../../src/tool/tool-context.ts';

type Run = (powers: ToolContext) => Promise<Report<object> | Question>;

const done: Report<object> = { outcome: 'done', summary: 'The suite was answered.', printed: [], facts: {} };
const question: Question = { kind: 'question', message: 'Shall it go on?', field: { kind: 'name' }, nonce: 'a-nonce' };

/** Tools, resources and prompts with the names that the suite calls. They answer like this server's own. */
const RUNS: Readonly<Record<string, Run>> = {
  test_simple_text: async () => done,
  test_error_handling: async () => {
    throw new ToolError('invalid-input', 'This always fails.', 'Nothing can be done about it.');
  },
  test_tool_with_progress: async ({ deadline }) => {
    for (const step of ['one', 'two', 'three']) deadline.progress(step);
    return done;
  },
  test_logging_tool: async () => done,
  test_input_required_result_elicitation: async () => question,
  test_input_required_result_tampered_state: async () => question,
  test_streaming_elicitation: async () => question,
};

/** Tools that the suite calls by name. They use this server's tool code, which is what the suite tests. */
export const suiteTools: readonly AnyTool[] = Object.entries(RUNS).map(([name, run]) =>
  defineTool({
    name,
    title: name,
    description: 'A tool of the conformance suite.',
    input: z.strictObject({}),
    facts: z.object({}),
    effect: 'read',
    run: (_input, powers) => run(powers),
  }),
);

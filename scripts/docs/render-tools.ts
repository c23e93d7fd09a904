import type { AnyTool } from '../../src/tool/tool.ts';
import type { Prompt } from '../../src/mcp/prompts.ts';
import type { ResourceDefinition } from '../../src/mcp/resources.ts';
import { describeFields } from './describe-schema.ts';
import type { DescribedField } from './describe-schema.ts';
import { writeTable } from './write-table.ts';

const EFFECTS = { read: 'reads', change: 'changes' } as const;

/** Renders `docs/tools.md`. */
export function renderToolsPage(
  tools: readonly AnyTool[],
  resources: readonly ResourceDefinition[],
  prompts: readonly Prompt[],
): string {
  return `# Tools, resources and prompts

Generated from the code by \`npm run generate\`.
Most clients add the server's name as a prefix to these names; for those that don't, \`DSTACK_MCP_TOOL_PREFIX\` adds one.

The result of a tool is its text: what happened, dstack's output verbatim, the facts on one line (\`outcome: done | status: running | …\`), and the next step.
Most clients show a model the structured content instead of the text, or both, so results have none by default, and the list of tools has no output schemas.
For programs, \`DSTACK_MCP_STRUCTURED=on\` adds both, from protocol 2025-06-18 on: \`outcome\`, \`summary\`, \`output\` (dstack's output verbatim), \`next\` (the next step, if there is one), \`code\` (of an error) and the facts below.
Unknown facts are omitted.

\`project\` defaults to the configured project.

\`outcome\` is one of:

- \`done\`
- \`nothing-to-do\`: nothing had to be changed.
- \`blocked\`: dstack can't do it right now.
- \`refused\`: this server rejected the call before anything was run.
- \`failed\`
- \`waiting\`: the state that was waited for isn't reached yet, dstack is still planning, or consent is missing (to use a run, or to what a plan would send); \`next\` says when to make the same call again.
- \`waiting-for-person\`: call again with the same token for the result.
- \`unknown\`: the change was requested, but its result is not known.

${renderToolTable(tools, '')}

${tools.map(renderTool).join('\n\n')}

## Resources

Each resource returns what a reading tool returns.
Names are completed.
\`dstack://runs/{name}\` supports subscriptions: an update is sent when the run's status changes.
\`skill://dstack/SKILL.md\` has instructions for agents on how to use these tools.

${writeTable(
  ['URI', 'Content', 'Tool'],
  resources.map(({ uri, description, tool }) => [`\`${uri}\``, description, `\`${tool}\``]),
)}

## Prompts

${writeTable(
  ['Prompt', 'What it does', 'Arguments'],
  prompts.map((prompt) => [`\`${prompt.name}\``, prompt.description, listArguments(prompt)]),
)}
`;
}

function listArguments(prompt: Prompt): string {
  return Object.entries(prompt.arguments)
    .map(([name, { required }]) => `\`${name}\`${required === true ? ' (required)' : ''}`)
    .join(', ');
}

/** Renders the table of all tools. Names link to sections of `page`. */
export function renderToolTable(tools: readonly AnyTool[], page: string): string {
  return writeTable(
    ['Tool', 'What it does', 'Effect'],
    tools.map((tool) => [
      `[\`${tool.name}\`](${page}#${tool.name})`,
      firstSentence(tool.description),
      EFFECTS[tool.effect],
    ]),
  );
}

/** Returns the tools for the manifest. */
export function listForManifest(tools: readonly AnyTool[]): readonly { name: string; description: string }[] {
  return tools.map(({ name, description }) => ({ name, description: firstSentence(description) }));
}

/** Returns the prompts for the manifest, with the manifest's placeholders for arguments. */
export function listPromptsForManifest(
  prompts: readonly Prompt[],
): readonly { name: string; description: string; arguments: readonly string[]; text: string }[] {
  return prompts.map(({ name, description, write, arguments: fields }) => {
    const names = Object.keys(fields);
    const text = write(Object.fromEntries(names.map((field) => [field, `\${arguments.${field}}`])));
    return { name, description, arguments: names, text };
  });
}

function renderTool(tool: AnyTool): string {
  const { unlisted = [] } = tool;
  const inputs = describeFields(tool.input, 'input').filter(({ name }) => !unlisted.includes(name));
  const facts = describeFields(tool.facts, 'output');
  return [
    `## ${tool.name}`,
    `**${tool.title}** (${EFFECTS[tool.effect]}). ${tool.description}`,
    `Confirmation: ${describeConfirmation(tool)}`,
    inputs.length === 0 ? 'It takes no arguments.' : renderInputs(inputs),
    ...(unlisted.length === 0
      ? []
      : [
          `Not listed, but accepted: ${unlisted.map((name) => `\`${name}\``).join(', ')}, as in the preview. If they differ from what the token stands for, the call is refused.`,
        ]),
    renderFacts(facts),
  ].join('\n\n');
}

function renderInputs(inputs: readonly DescribedField[]): string {
  return writeTable(
    ['Argument', 'Type', 'Meaning'],
    inputs.map(({ name, type, required, meaning }) => [`\`${name}\`${required ? ' (required)' : ''}`, type, meaning]),
  );
}

function renderFacts(facts: readonly DescribedField[]): string {
  const lines = facts.map(({ name, type, meaning }) => {
    const code = type.startsWith('{') || type.startsWith('"') ? `\`${type}\`` : type;
    return `- \`${name}\`: ${code}${meaning === '' ? '' : `. ${meaning}`}`;
  });
  return ['Facts:', '', ...lines].join('\n');
}

function describeConfirmation({ effect, input, facts, card }: AnyTool): string {
  if (card === 'buttons')
    return 'this is the confirmation: a click in the card of the change, with the nonce that only this card has.';
  if (effect === 'read') {
    return Object.hasOwn(facts.shape, 'token')
      ? 'none, it changes nothing. If the change is possible, it returns the token for it.'
      : 'none, it changes nothing.';
  }
  if (card === 'use')
    return 'consent to use the run: the first use returns a preview, and `apply` with its token is the consent. The user is asked if the client can ask.';
  return Object.hasOwn(input.shape, 'token')
    ? 'the single-use token from the preview. The change is planned again before it is executed. The user is asked if the client can ask.'
    : 'none: it only affects this computer, nothing in dstack.';
}

function firstSentence(text: string): string {
  return /^.*?\.(?= |$)/.exec(text)?.[0] ?? text;
}

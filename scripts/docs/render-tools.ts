import type { AnyTool } from '../../src/tool/tool.ts';
import type { Prompt } from '../../src/mcp/prompt-definitions.ts';
import type { ResourceDefinition } from '../../src/mcp/resource-definitions.ts';
import { describeFields } from './describe-schema.ts';
import type { DescribedField } from './describe-schema.ts';
import { writeTable } from './write-table.ts';

const EFFECTS = { read: 'reads', change: 'changes', destroy: 'destroys' } as const;

/** The whole of `docs/tools.md`. */
export function renderToolsPage(
  tools: readonly AnyTool[],
  resources: readonly ResourceDefinition[],
  prompts: readonly Prompt[],
): string {
  return `# Tools, resources and prompts

Generated from the code by \`npm run generate\`. The client puts the server's name before these names.

Every result comes twice, each standing alone: as text, and as \`structuredContent\` with \`outcome\`, \`summary\`, \`output\` (what
dstack printed, word for word), \`next\` (the next step, where there is one), \`code\` (of a refusal) and the facts below. A fact that
isn't known is left out.

\`outcome\` says what really happened: \`done\`, \`nothing-to-do\`, \`blocked\` (dstack can't do it as things stand), \`refused\` (this server
didn't let it through), \`failed\`, \`waiting-for-person\`, \`unknown\` (it was asked for, and whether it happened isn't known).

${renderToolTable(tools, '')}

${tools.map(renderTool).join('\n\n')}

## Resources

Each is another door to a tool that reads, with the same words. Names are completed. \`dstack://runs/{name}\` can be subscribed to: an
update is sent when the run's status changes. \`skill://dstack/SKILL.md\` is a page for agents on how to work with these tools.

${writeTable(
  ['URI', 'What it holds', 'Tool'],
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
    .map(([name, { required }]) => `\`${name}\`${required === true ? ' (needed)' : ''}`)
    .join(', ');
}

/** The table of all tools; `page` is the page that their names lead to. */
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

/** What a manifest says of each tool. */
export function listForManifest(tools: readonly AnyTool[]): readonly { name: string; description: string }[] {
  return tools.map(({ name, description }) => ({ name, description: firstSentence(description) }));
}

/** What a manifest says of each prompt, its text with the placeholders that a manifest has for arguments. */
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
  const inputs = describeFields(tool.input, 'input');
  const facts = describeFields(tool.facts, 'output');
  return [
    `## ${tool.name}`,
    `**${tool.title}** (${EFFECTS[tool.effect]}). ${tool.description}`,
    `Confirmation: ${describeConfirmation(tool)}`,
    inputs.length === 0 ? 'It takes no arguments.' : renderInputs(inputs),
    renderFacts(facts),
  ].join('\n\n');
}

function renderInputs(inputs: readonly DescribedField[]): string {
  return writeTable(
    ['Argument', 'Type', 'Meaning'],
    inputs.map(({ name, type, required, meaning }) => [`\`${name}\`${required ? ' (needed)' : ''}`, type, meaning]),
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
    return 'it is one: a click in the card that shows the change, with the nonce that only this card was given.';
  if (effect === 'read') {
    return Object.hasOwn(facts.shape, 'token')
      ? 'none, it changes nothing. Where something can be done, it gives the token for doing exactly that.'
      : 'none, it changes nothing.';
  }
  const token = describeFields(input, 'input').find(({ name }) => name === 'token');
  if (token === undefined) return 'none: it touches this computer alone, nothing at dstack.';
  const person = 'A person is asked where the client can ask one.';
  return token.required
    ? `the token that the preview gave, single use. What was shown is looked at again first. ${person}`
    : `the first call shows what would be lost and gives a token, the second redeems it, once. ${person}`;
}

function firstSentence(text: string): string {
  return /^.*?\.(?= |$)/.exec(text)?.[0] ?? text;
}

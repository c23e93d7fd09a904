import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { OUTCOMES } from '../../../src/core/report.ts';
import { PROMPTS } from '../../../src/mcp/prompts.ts';
import { tools } from '../../../tools/index.ts';
import { inRepository } from '../../support/paths.ts';

const TOOLS = tools.map(({ name }) => name);
/** Words in backticks in the skill that aren't tools: dstack's types and properties, and parts of results. */
const OTHER_WORDS: ReadonlySet<string> = new Set(
  ['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway']
    .concat(['type', 'name', 'nodes', 'ports', 'env'])
    .concat(['outcome', 'next', 'diagnose'], OUTCOMES),
);

test('every tool in the skill exists', async () => {
  const skill = await readFile(inRepository('skills', 'dstack', 'SKILL.md'), 'utf8');
  const words = [...skill.matchAll(/`([a-z][a-z_-]*)`/g)].map(([, word]) => word ?? '');
  expect(words.filter((word) => !TOOLS.includes(word) && !OTHER_WORDS.has(word))).toEqual([]);
  for (const tool of ['plan', 'apply', 'get', 'logs', 'stop', 'delete', 'config', 'write_config'])
    expect(words).toContain(tool);
});

test.each(PROMPTS)('$name names existing tools, and no change before the user approves', ({ write }) => {
  const text = write({});
  expect(TOOLS.some((tool) => new RegExp(`\\b${tool}\\b`).test(text))).toBe(true);
  const [beforeApply = ''] = text.split(/\bapply with the token/);
  expect(beforeApply).toMatch(/Show me the plan[^]*Only after I approve|Change nothing|Only after I approve/);
});

test('omitted arguments leave no trace in the text', () => {
  for (const prompt of PROMPTS) expect(prompt.write({})).not.toContain('undefined');
});

import { describe, expect, test } from 'vitest';
import { readVariable, RESOURCES, runOfUri, uriOfRun } from '../../../src/mcp/resources.ts';
import { tools } from '../../../tools/index.ts';

test.each(RESOURCES)('$uri calls a read-only tool with valid arguments', (resource) => {
  const tool = tools.find(({ name }) => name === resource.tool);
  expect(tool?.effect).toBe('read');
  expect(() => tool?.prepare(resource.toInput('apply'))).not.toThrow();
});

describe('the variable of a URI', () => {
  const run = RESOURCES.find(({ name }) => name === 'run')?.variable;
  const help = RESOURCES.find(({ name }) => name === 'help')?.variable;
  if (run === undefined || help === undefined) throw new Error('the resources are missing');

  test.each([
    [run, 'train', 'train'],
    [help, 'fleet%20delete', 'fleet delete'],
    [help, 'fleet delete', 'fleet delete'],
  ])('is decoded (%#)', (variable, raw, value) => {
    expect(readVariable(variable, raw)).toEqual({ value });
  });

  test.each([
    [run, '--all'],
    [run, 'a%0Ab'],
    [run, 'a%2F..'],
    [run, '%E0%A4%A'],
    [run, ''],
    [run, 'x'.repeat(500)],
    [help, 'apply%20-y'],
    [help, 'apply;id'],
  ])('is refused if dstack cannot know such a name (%#)', (variable, raw) => {
    expect(readVariable(variable, raw)).toEqual({ problem: expect.stringContaining('is not a valid') });
  });
});

test('the URI of a run returns its name, others return none', () => {
  expect(runOfUri(uriOfRun('train-1'))).toBe('train-1');
  for (const uri of ['dstack://runs/a/logs', 'dstack://fleets/a', 'dstack://runs/', 'dstack://runs/--all', 'train'])
    expect(runOfUri(uri)).toBeUndefined();
});

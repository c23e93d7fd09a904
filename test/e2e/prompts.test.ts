import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { PROMPTS } from '../../src/mcp/prompts.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createTestHome } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
let home: TestHome;
beforeAll(async () => {
  home = await createTestHome({ atEnd });
});

const listed = z.looseObject({
  prompts: z.array(
    z.looseObject({
      name: z.string(),
      title: z.string(),
      description: z.string(),
      arguments: z.array(
        z.looseObject({ name: z.string(), description: z.string(), required: z.boolean().optional() }),
      ),
    }),
  ),
});
const got = z.looseObject({
  messages: z.tuple([z.looseObject({ role: z.literal('user'), content: z.looseObject({ text: z.string() }) })]),
});
const completed = z.looseObject({ completion: z.looseObject({ values: z.array(z.string()) }) });

describe.each(CLIENTS)('for the %s', (kind) => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect({ env: home.env, kind, atEnd });
  });

  test('every prompt is listed with its arguments', async () => {
    const { prompts } = listed.parse(await client.features.listPrompts());
    expect(prompts.map(({ name }) => name)).toEqual(PROMPTS.map(({ name }) => name));
    for (const prompt of PROMPTS) {
      const shown = prompts.find(({ name }) => name === prompt.name);
      expect(shown).toMatchObject({ title: prompt.title, description: prompt.description });
      expect(shown?.arguments.map(({ name, description, required }) => [name, description, required === true])).toEqual(
        Object.entries(prompt.arguments).map(([name, one]) => [name, one.description, one.required === true]),
      );
    }
  });

  test('a prompt contains the arguments', async () => {
    const answer = await client.features.getPrompt({
      name: 'run-task',
      arguments: { command: 'python train.py', gpu: 'A100' },
    });
    const { text } = got.parse(answer).messages[0].content;
    expect(text).toContain('- command: python train.py\n- GPU: A100\n');
    expect(text).not.toContain('fleet:\n');
  });

  test.each([
    ['run-task', {}],
    ['explain-run', { run: 'Not A Name' }],
    ['create-fleet', { type: 'moon' }],
    ['run-task', { command: 'one\ntwo' }],
    ['invented', {}],
  ])('%s refuses %j', async (name, args) => {
    await expect(client.features.getPrompt({ name, arguments: args })).rejects.toMatchObject({ code: -32602 });
  });

  test.each([
    ['run-task', 'fleet', 'on-pr', ['on-prem']],
    ['run-task', 'volume', 'zzz', []],
    ['deploy-model', 'gateway', 'zzz', []],
    ['open-dev-environment', 'ide', 'c', ['cursor']],
    ['create-fleet', 'type', '', ['cloud', 'ssh']],
    ['run-task', 'gpu', 'rtx4090', [expect.stringMatching(/^RTX4090/)]],
  ])('%s completes %s from %j', async (name, argument, value, names) => {
    const answer = await client.features.complete({
      ref: { type: 'ref/prompt', name },
      argument: { name: argument, value },
    });
    expect(completed.parse(answer).completion.values).toEqual(names);
  });
});

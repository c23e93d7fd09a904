import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tools } from '../../tools/index.ts';
import { badValues, parametersOf } from '../support/bad-values.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createRecorder } from '../support/call-recorder.ts';
import type { Recorder } from '../support/call-recorder.ts';
import { createTestHome, task } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
let recorder: Recorder;
let client: TestClient;

beforeAll(async () => {
  const home = await createTestHome({ atEnd });
  await home.write('good.dstack.yml', task('good'));
  recorder = await createRecorder(home);
  // No call gets as far as dstack, so no worker is needed.
  client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_WARM: 'off' }, atEnd });
});

/** Good values for the other required parameters, so that only the bad one causes the refusal. */
const GOOD: Readonly<Record<string, unknown>> = {
  file: 'good.dstack.yml',
  token: 'abcdefg-abcdefg',
  name: 'good',
  run: 'good',
  local: 'good.dstack.yml',
  remote: 'good',
  path: 'good.dstack.yml',
  text: 'type: task\n',
  content: 'type: task\n',
  nonce: '0123456789abcdef0123456789abcdef',
};

/** Other parameters that an optional parameter needs. */
const REQUIRED_WITH: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'delete.project': { type: 'fleet', name: 'good' },
  'stop.project': { run: 'good' },
  'attach.project': { run: 'good' },
  'exec.project': { command: 'true' },
  'exec.cwd': { command: 'true' },
  'request.max_tokens': { chat: 'hi' },
  'config.property': { action: 'describe' },
  'write_config.file': { text: 'type: task\n' },
};

/** Names of parameters in error messages. */
const CALLED: Readonly<Record<string, string>> = {
  file: 'path|configuration',
  local: 'path|There is no',
  command: "doesn't document",
};

/** Texts that are never part of a command line: each is searched for, or compared, unchanged. */
const NEVER_A_WORD: Readonly<Record<string, string>> = {
  'write_config.expected_hash': 'a text that is compared with what the file has',
  'exec.command': 'a text that is data for a program in the run',
  'exec.stdin': 'a text that is data for a program in the run',
  'exec.cwd': 'a text that is data for a program in the run',
  'copy.remote': 'a text that is data for a program in the run',
  'ps.name': 'a text that is looked for in the names that were printed',
  'logs.filter': 'a literal text that is looked for in what was printed',
  'help.command': 'a flag or a word that is looked for in the help pages, if it is not a command',
  'decide.nonce': 'a text that is compared with what the card was given',
  'decide.name': 'a text that is compared with the name that has to be typed',
};

/** Returns whether `apply` compares the argument, which it accepts next to a token, with that of the preview. */
const isCompared = ({ unlisted = [] }: (typeof tools)[number], name: string): boolean => unlisted.includes(name);

const isOptional = ({ input }: (typeof tools)[number], name: string): boolean =>
  input.shape[name]?.safeParse(undefined).success === true;

const parameters = tools.flatMap((tool) =>
  parametersOf(tool.input).map(({ name, bad }) => ({
    tool,
    name,
    label: `${tool.name}.${name}`,
    // Models often fill optional parameters with an empty text: it counts as absent.
    bad: bad.filter(({ what }) => what !== 'an empty text' || !isOptional(tool, name)),
  })),
);

const required = (input: (typeof tools)[number]['input']): Record<string, unknown> =>
  Object.fromEntries(
    parametersOf(input)
      .filter((parameter) => parameter.required)
      .map(({ name, choices }) => [name, choices[0] ?? GOOD[name]]),
  );

const cases = parameters.flatMap(({ tool, name, label, bad }) =>
  bad
    .filter(({ refusedBy }) => refusedBy === 'schema' || !(label in NEVER_A_WORD || isCompared(tool, name)))
    .map((each) => ({ ...each, tool, name, label })),
);

describe('each parameter of each tool is validated before dstack runs:', () => {
  test.each(cases)('$label: $what', async ({ tool, name, label, value, refusedBy }) => {
    const before = await recorder.calls();
    const answer = await client.call(tool.name, { ...required(tool.input), ...REQUIRED_WITH[label], [name]: value });
    expect(answer.isError, answer.text).toBe(true);
    expect(answer.facts['outcome'], answer.text).toBe('refused');
    expect(answer.facts['code'] === 'invalid-input' || refusedBy === 'rules', answer.text).toBe(true);
    // By its own name, or by that of its flag.
    const names = [name.replaceAll('_', '[-_]'), ...(refusedBy === 'rules' ? [CALLED[name] ?? name] : [])];
    expect(answer.facts['summary']).toMatch(new RegExp(`\\b(?:${names.join('|')})\\b`, 'i'));
    expect(answer.facts['next']).toEqual(expect.any(String));
    expect(await recorder.calls()).toEqual(before);
  });
});

describe('values of flags for dstack are validated:', () => {
  const withFlags = tools
    .filter((tool) => Object.hasOwn(tool.input.shape, 'flags') && !isCompared(tool, 'flags'))
    .map(({ name, input }) => ({ name, input }));
  const FLAGS: readonly (readonly [what: string, flags: Readonly<Record<string, unknown>>])[] = [
    ['one that is not documented', { '--nosuchflag': true }],
    ['one without its dashes', { project: 'main' }],
    ['a word that is not a flag', { 'rm -rf': true }],
    ['a value that is a flag', { '--project': '--yes' }],
    ['a value with a control character', { '--project': 'a\u0007b' }],
    ['a value that is too long', { '--project': 'a'.repeat(5_000) }],
    ['a value of another type', { '--project': { a: 1 } }],
  ];

  test.each(withFlags.flatMap((tool) => FLAGS.map(([what, flags]) => ({ ...tool, what, flags }))))(
    '$name: $what',
    async ({ name, input, flags }) => {
      const before = await recorder.calls();
      const answer = await client.call(name, { ...required(input), flags });
      expect(answer.facts['outcome'], answer.text).toBe('refused');
      const flag = Object.keys(flags)[0] ?? '';
      expect(`${String(answer.facts['summary'])} ${String(answer.facts['next'])}`).toContain(flag.replace(/^--/, ''));
      expect(await recorder.calls()).toEqual(before);
    },
  );
});

describe('the table of bad values', () => {
  test('covers every parameter with values of other types, and has the values that a call needs', () => {
    for (const { tool, name, label, bad } of parameters)
      expect(bad.length, label).toBeGreaterThanOrEqual(isCompared(tool, name) ? 1 : 2);
    const needed = tools.flatMap(({ input }) => Object.entries(required(input)));
    expect(needed.filter(([, value]) => value === undefined)).toEqual([]);
    const labels = parameters.map(({ label }) => label);
    const exceptions = [...Object.keys(REQUIRED_WITH), ...Object.keys(NEVER_A_WORD)];
    const present = exceptions.filter((label) => tools.some(({ name }) => label.startsWith(`${name}.`)));
    for (const label of present) expect(labels).toContain(label);
  });

  test('is derived from the schemas, and fails on an unknown kind of schema', () => {
    expect(badValues({ type: 'integer', minimum: 0, maximum: 20 }).map(({ value }) => value)).toEqual([
      'seven',
      1.5,
      -1,
      21,
    ]);
    expect(() => badValues({ type: 'null' })).toThrow('no bad values are known');
  });
});

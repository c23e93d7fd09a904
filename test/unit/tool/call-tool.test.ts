import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { createApp } from '../../../src/app.ts';
import type { App } from '../../../src/app.ts';
import type { CardUse, Effect, Report } from '../../../src/core/report.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import { ToolError } from '../../../src/core/errors.ts';
import type { ErrorCode } from '../../../src/core/errors.ts';
import type { Log } from '../../../src/core/log.ts';
import { readSettings } from '../../../src/settings/settings.ts';
import { callTool, explainError } from '../../../src/tool/call-tool.ts';
import type { CallContext } from '../../../src/tool/tool-context.ts';
import { defineTool } from '../../../src/tool/tool.ts';
import type { AnyTool, Tool } from '../../../src/tool/tool.ts';
import { auditEntry } from '../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { silentLog } from '../../support/recorded-catalog.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { plan } from '../../../tools/plan.ts';
import { ps } from '../../../tools/ps.ts';

const DONE: Report<Record<string, never>> = { outcome: 'done', summary: 'It is done.', printed: [], facts: {} };

/** A real app that has found no dstack yet, and what it logged. */
function setUp(options: readonly string[] = []) {
  const home = emptyFolder();
  const lines: { level: keyof Log; fields: unknown }[] = [];
  const log: Log = {
    ...silentLog,
    debug: () => undefined,
    warn: () => undefined,
    info: (fields: unknown) => void lines.push({ level: 'info', fields }),
    error: (fields: unknown) => void lines.push({ level: 'error', fields }),
  };
  const env = { HOME: home, PATH: '' };
  const given = Object.fromEntries(options.map((option) => option.split('=', 2)));
  const settings = readSettings(
    { '--state-dir': path.join(home, 'state'), '--workspace': home, '--dialog': 'off', '--warm': 'off', ...given },
    env,
  );
  return { app: createApp({ settings, env, log }), home, lines };
}

/** A tool that ends in this way. */
function toolThat(
  run: Tool<typeof input, typeof facts>['run'],
  more: { readonly effect?: Effect; readonly card?: CardUse } = {},
): AnyTool {
  return defineTool({
    name: 'example',
    title: 'An example',
    description: 'An example.',
    input,
    facts,
    effect: 'read',
    ...more,
    run,
  });
}

const input = z.strictObject({ name: z.string().optional() });
const facts = z.object({});

const throwing = (error: unknown, effect?: Effect): AnyTool =>
  toolThat(
    async () => {
      throw error;
    },
    effect === undefined ? {} : { effect },
  );

const context: CallContext = { signal: new AbortController().signal, canAskPerson: false, canShowCard: false };

async function structuredOf(app: App, tool: AnyTool, raw: unknown = {}) {
  const outcome = await callTool(app, tool, raw, context);
  if (outcome.kind !== 'result') throw new Error('expected a result');
  return { ...outcome.structured, isError: outcome.isError, text: outcome.text };
}

test('a report becomes the same result in text and in structured content', async () => {
  const { app } = setUp();
  const report = { ...DONE, printed: [{ transcript: readFixture('ps-running') }], next: 'Call get.' };
  const result = await structuredOf(
    app,
    toolThat(async () => report),
  );
  expect(result).toMatchObject({ outcome: 'done', summary: 'It is done.', next: 'Call get.', isError: false });
  expect(result.text).toContain('lab-task');
});

test('arguments that are not valid are refused with the fields of the tool, and it is not run', async () => {
  const { app } = setUp();
  const ran: unknown[] = [];
  const tool = toolThat(async (given) => {
    ran.push(given);
    return DONE;
  });
  const result = await structuredOf(app, tool, { nmae: 'x' });
  expect(result).toMatchObject({ outcome: 'refused', code: 'invalid-input', isError: true });
  expect(result).toMatchObject({ summary: expect.stringContaining('"nmae"'), next: expect.stringContaining('name') });
  expect(await structuredOf(app, tool, { name: 7 })).toMatchObject({ summary: expect.stringContaining('name: ') });
  expect(ran).toEqual([]);
});

test('a call without arguments is a call with none', async () => {
  const { app } = setUp();
  const result = await callTool(
    app,
    toolThat(async () => DONE),
    undefined,
    context,
  );
  expect(result).toMatchObject({ kind: 'result', isError: false });
});

test.each<[ErrorCode, string]>([
  ['policy', 'refused'],
  ['price-cap', 'refused'],
  ['plan-changed', 'refused'],
  ['token-used', 'refused'],
  ['invalid-value', 'refused'],
  ['audit-unavailable', 'refused'],
  ['cli-not-found', 'failed'],
  ['cli-too-old', 'failed'],
  ['cli-not-understood', 'failed'],
  ['timed-out', 'failed'],
  ['cancelled', 'failed'],
  ['busy', 'failed'],
])('the error %s ends a call as %s, with its hint as the next step', async (code, outcome) => {
  const { app } = setUp();
  const result = await structuredOf(app, throwing(new ToolError(code, 'What happened.', 'What to do.')));
  expect(result).toMatchObject({ outcome, summary: 'What happened.', next: 'What to do.', code, isError: true });
});

test('a command that dstack refused ends a call with its own report', async () => {
  const { app } = setUp();
  const transcript = readFixture('error-key');
  const failed = new CommandFailed({
    outcome: 'blocked',
    summary: 'The file is not valid.',
    printed: [{ transcript }],
    facts: { code: 'invalid-configuration' },
    next: 'Fix the file.',
  });
  const result = await structuredOf(app, throwing(failed));
  expect(result).toMatchObject({ outcome: 'blocked', code: 'invalid-configuration', isError: false });
  expect(result.text).toContain('Extra inputs are not permitted');
});

test.each<[Effect, string, RegExp]>([
  ['read', 'failed', /Try once more/],
  ['change', 'unknown', /isn't known whether anything was changed/],
])('a bug in a tool that may %s ends its call as %s, and is logged', async (effect, outcome, next) => {
  const { app, lines } = setUp();
  const result = await structuredOf(app, throwing(new TypeError('x is undefined'), effect));
  expect(result).toMatchObject({
    outcome,
    code: 'internal',
    summary: expect.stringContaining('x is undefined'),
    next: expect.stringMatching(next),
  });
  expect(lines).toContainEqual({
    level: 'error',
    fields: expect.objectContaining({ tool: 'example', err: expect.any(TypeError) }),
  });
});

test('a thrown value that is not an Error is reported as well', async () => {
  const { app } = setUp();
  expect(await structuredOf(app, throwing('a text'))).toMatchObject({
    code: 'internal',
    summary: expect.stringContaining('a text'),
  });
});

test('a server that only reads refuses a tool that may change something', async () => {
  const { app } = setUp(['--read-only=on']);
  const result = await structuredOf(app, throwing(new Error('it was run'), 'change'));
  expect(result).toMatchObject({ outcome: 'refused', code: 'read-only' });
  expect(
    await structuredOf(
      app,
      toolThat(async () => DONE),
    ),
  ).toMatchObject({ outcome: 'done' });
});

test('a policy that becomes read-only refuses changes at the call', async () => {
  const policy = path.join(emptyFolder(), 'policy.yml');
  writeFileSync(policy, 'read_only: false\n');
  const { app } = setUp([`--policy=${policy}`]);
  const change = toolThat(async () => DONE, { effect: 'change' });
  expect(await structuredOf(app, change)).toMatchObject({ outcome: 'done' });
  writeFileSync(policy, 'read_only: true\n');
  expect(await structuredOf(app, change)).toMatchObject({ code: 'read-only' });
  writeFileSync(policy, 'read_only: perhaps\n');
  expect(await structuredOf(app, change)).toMatchObject({ code: 'policy-broken' });
});

test('secrets that the CLI has learned since the last call are masked in this one', async () => {
  const { app, home } = setUp();
  const tool = toolThat(async () => ({ ...DONE, summary: 'The token is s3cr3t-token.' }));
  expect(await structuredOf(app, tool)).toMatchObject({ summary: 'The token is s3cr3t-token.' });
  mkdirSync(path.join(home, '.dstack'));
  writeFileSync(
    path.join(home, '.dstack', 'config.yml'),
    'projects: [{name: main, url: "http://127.0.0.1:3000", token: s3cr3t-token, default: true}]\n',
  );
  const masked = await structuredOf(app, tool);
  expect(JSON.stringify(masked)).not.toContain('s3cr3t-token');
});

test('a question ends a call without a result, and the log says that it waits for a person', async () => {
  const { app, lines } = setUp();
  const question = { kind: 'question', message: 'Do it?', field: { kind: 'name' }, nonce: 'n' } as const;
  expect(
    await callTool(
      app,
      toolThat(async () => question),
      {},
      context,
    ),
  ).toEqual(question);
  expect(lines).toContainEqual({
    level: 'info',
    fields: expect.objectContaining({ tool: 'example', outcome: 'waiting-for-person' }),
  });
});

test('each call is logged and counted with its outcome and code', async () => {
  const { app, lines } = setUp();
  await structuredOf(app, throwing(new ToolError('price-cap', 'Too expensive.', 'Choose less.')));
  expect(lines.at(-1)?.fields).toMatchObject({ tool: 'example', outcome: 'refused', code: 'price-cap' });
  expect(JSON.stringify(app.counts())).toContain('example');
});

describe('a change that an earlier server left without a result', () => {
  /** A server that was killed between the lines `approved` and `done`. */
  function setUpAfterCrash() {
    const made = setUp();
    const folder = path.join(made.home, 'state', 'audit');
    const entry = auditEntry('id1', pendingChange(), { event: 'approved', level: 'token' });
    mkdirSync(folder, { recursive: true });
    const line = { time: new Date(), pid: 2 ** 22 + 1, ...entry };
    writeFileSync(path.join(folder, 'audit.jsonl'), `${JSON.stringify(line)}\n`);
    const log = (): string => readFileSync(path.join(folder, 'audit.jsonl'), 'utf8');
    return { ...made, log };
  }
  const call = (app: App, run: AnyTool, more: Partial<CallContext> = {}) =>
    callTool(app, run, {}, { ...context, origin: { request: '1' }, ...more });
  const NOTE = /An earlier server of yours ended while .*create task train in project main.*couldn't be looked up/;

  test('is reported once, at the end of the first answer, and closed in the audit log', async () => {
    const { app, log } = setUpAfterCrash();
    const tool = toolThat(async () => DONE);
    expect(await call(app, tool)).toMatchObject({
      structured: { summary: expect.stringMatching(new RegExp(`^It is done\\. ${NOTE.source}`)) },
    });
    expect(await call(app, tool)).toMatchObject({ structured: { summary: 'It is done.' } });
    expect(log()).toMatch(/"event":"done".*"outcome":"unknown".*the server ended before it knew the result/);
    expect(log().trim().split('\n')).toHaveLength(2);
  });

  test('is reported by a call that fails, too', async () => {
    const { app } = setUpAfterCrash();
    const result = await call(app, throwing(new ToolError('policy', 'Refused.', 'Stop.')));
    expect(result).toMatchObject({ structured: { code: 'policy', summary: expect.stringMatching(NOTE) } });
  });

  test('is not reported by a question, or by a read for a resource, but by the next answer', async () => {
    const { app } = setUpAfterCrash();
    const question = { kind: 'question', message: 'Do it?', field: { kind: 'name' }, nonce: 'n' } as const;
    expect(
      await callTool(
        app,
        toolThat(async () => DONE),
        {},
        context,
      ),
    ).toMatchObject({ structured: { summary: 'It is done.' } });
    expect(
      await call(
        app,
        toolThat(async () => question),
      ),
    ).toEqual(question);
    expect(
      await call(
        app,
        toolThat(async () => DONE),
      ),
    ).toMatchObject({ structured: { summary: expect.stringMatching(NOTE) } });
  });
});

test('a card goes only to a client that shows one', async () => {
  const { app } = setUp();
  const tool = toolThat(async () => DONE, { card: 'change' });
  expect(await callTool(app, tool, {}, { ...context, canShowCard: true })).toMatchObject({ card: { view: 'none' } });
  expect(await callTool(app, tool, {}, context)).not.toHaveProperty('card');
});

test('a tool gets what it may do, bounded by the time of the call', async () => {
  const { app } = setUp(['--timeout=5']);
  const progress: string[] = [];
  const signal = new AbortController().signal;
  const seen: number[] = [];
  const tool = toolThat(async (_input, given) => {
    seen.push(given.deadline.remainingMs());
    given.deadline.progress('half done');
    expect(given.deadline.signal).toBe(signal);
    expect(Object.keys(given).sort()).toEqual(['attachments', 'changes', 'config', 'deadline', 'doctor', 'dstack']);
    return DONE;
  });
  await callTool(app, tool, {}, { ...context, signal, progress: (message) => void progress.push(message) });
  expect(seen[0]).toBeGreaterThan(4_000);
  expect(seen[0]).toBeLessThanOrEqual(5_000);
  expect(progress).toEqual(['half done']);
});

const FILES = ['train.dstack.yml', 'train2.dstack.yml', 'jobs/serve.dstack.yml', '.dstack.yml'];

async function hintOf(failure: ToolError, raw: unknown = {}, tool = plan): Promise<string> {
  const explained = await explainError(failure, { tool, raw }, () => Promise.resolve(FILES));
  if (!(explained instanceof ToolError)) throw new Error('expected an error of the tool');
  expect(explained).toMatchObject({ code: failure.code, message: failure.message });
  return explained.hint;
}

test.for([
  ['train2.yml', 'Did you mean train2.dstack.yml? Look.'],
  ['serve.yaml', 'Did you mean jobs/serve.dstack.yml? Look.'],
  ['./trian.dstack.yml', 'Did you mean train.dstack.yml? Look.'],
  ['something-else.yml', 'Look.'],
] as const)('a file that is missing is answered with the one that is meant: %s', async ([file, hint]) => {
  for (const code of ['file-not-found', 'not-a-configuration'] as const)
    expect(await hintOf(new ToolError(code, 'Not there.', 'Look.'), { file })).toBe(hint);
});

test('a mistaken flag is answered with the argument for the flag that is meant', async () => {
  const unknown = (hint: string): ToolError => new ToolError('unknown-flag', 'No.', hint);
  expect(await hintOf(unknown('Did you mean --gpu? See `dstack apply --help`.'))).toMatch(
    / plan has its own argument: `gpu` for --gpu\.$/,
  );
  expect(await hintOf(unknown('Did you mean --spot-policy or --max-price or --max-offers? See.'))).toMatch(
    /: `spot` for --spot-policy, `max_price` for --max-price\.$/,
  );
  const other = 'Omit it. Flags of `ps`: --all, --last.';
  expect(await hintOf(unknown(other), {}, ps)).toBe(other);
});

test('any other error, and what cannot be looked up, stays unchanged', async () => {
  const bug = new TypeError('a bug');
  const findFiles = (): Promise<never> => Promise.reject(new Error('no folder'));
  expect(await explainError(bug, { tool: plan, raw: {} }, findFiles)).toBe(bug);
  const missing = new ToolError('file-not-found', 'Not there.', 'Look.');
  expect(await explainError(missing, { tool: plan, raw: { file: 'x' } }, findFiles)).toMatchObject({
    hint: 'Look.',
  });
});

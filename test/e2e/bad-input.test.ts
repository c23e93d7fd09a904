import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { tools } from '../../tools/index.ts';
import { runNames } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { Answer, TestClient } from '../support/connect.ts';
import { writeExecutable } from '../support/write-executable.ts';
import { processesIn } from '../support/processes.ts';
import { createFaultyCli } from '../support/faulty-cli.ts';
import { createRecorder } from '../support/call-recorder.ts';
import type { Recorder } from '../support/call-recorder.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { previewAndStop, until, waitForLog } from '../support/wait.ts';

type Input = Readonly<Record<string, unknown>>;
/** The call, the code and message of the error, and the text of the next step. */
type Refused = readonly [what: string, tool: string, input: Input, code: string, says: RegExp, next: RegExp];

const atEnd = collectEnds(afterAll);
const FILE = 'good.dstack.yml';
const NAME = uniqueName('bad-input');
let home: TestHome;
let recorder: Recorder;
let client: TestClient;

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  const outside = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-outside-'));
  atEnd(() => rm(outside, { recursive: true, force: true }));
  await writeFile(path.join(outside, 'other.dstack.yml'), 'type: task\n');
  await symlink(path.join(outside, 'other.dstack.yml'), path.join(home.workspace, 'link.dstack.yml'));
  await home.write(FILE, task(NAME));
  await home.write('broken.dstack.yml', 'type: task\ncommands: [echo\n');
  await home.write('no-type.dstack.yml', 'name: nothing\n');
  await home.write('taks.dstack.yml', { ...task(NAME), type: 'taks' });
  await home.write('notes.txt', 'type: task\n');
  await home.write('preset.dstack.yml', { type: 'preset', name: 'some-preset', base: 'Qwen/Qwen3-8B' });
  recorder = await createRecorder(home);
  client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: recorder.cli }, atEnd });
});

function expectRefusal(answer: Answer, { code, says, next }: { code: string; says: RegExp; next: RegExp }): void {
  expect(answer.facts['code'], answer.text).toBe(code);
  expect(answer.isError).toBe(true);
  expect(answer.facts['outcome']).toBe('refused');
  expect(answer.facts['summary']).toMatch(says);
  expect(answer.facts['next']).toMatch(next);
  // Clients show the model only one of the two channels.
  expect(answer.text).toContain(answer.facts['summary']);
  expect(answer.text).toContain(answer.facts['next']);
  expect(answer.text).toContain(`code: ${code}`);
}

const plan = (flags: Input): Input => ({ file: FILE, flags });

const REFUSED: readonly Refused[] = [
  [
    'an invented flag',
    'plan',
    plan({ '--gpus': 'A100' }),
    'unknown-flag',
    /doesn't document "--gpus".*Nothing was run/,
    /Did you mean --gpu\b/,
  ],
  ['a flag of another command', 'plan', plan({ '--last': 1 }), 'unknown-flag', /"--last" for `apply`/, /apply --help/],
  ['an abbreviated flag', 'plan', plan({ '--max-p': 1 }), 'unknown-flag', /abbreviated/, /Use --max-price/],
  ['a cluster of short flags', 'ps', { flags: { '-av': true } }, 'unknown-flag', /isn't a long flag/, /one at a time/],
  ['a short flag', 'ps', { flags: { '-a': true } }, 'unknown-flag', /short flag/, /Use --all/],
  [
    'a flag with its value',
    'plan',
    plan({ '--max-price=2': true }),
    'unknown-flag',
    /contains the value/,
    /"--max-price": value/,
  ],
  [
    'a value that is a flag',
    'plan',
    plan({ '--gpu': '--yes' }),
    'invalid-value',
    /--gpu starts with "-"/,
    /starts with another character/,
  ],
  [
    "a field's value that is a flag",
    'offer',
    { backend: ['-y'] },
    'invalid-value',
    /--backend starts with "-"/,
    /another character/,
  ],
  [
    'a project that is a flag',
    'ps',
    { project: '--all' },
    'policy',
    /No project --all is configured/,
    /Configured: main/,
  ],
  [
    'a name that is a flag',
    'get',
    { name: '-rf' },
    'invalid-input',
    /name\.0: must be a dstack name/,
    /get takes: name, type/,
  ],
  [
    'a switch with a value',
    'plan',
    plan({ '--spot': 'no' }),
    'invalid-value',
    /--spot is a switch/,
    /Set --spot to true/,
  ],
  ['consent as a flag', 'plan', plan({ '--yes': true }), 'forbidden-flag', /--yes is set by this server/, /Omit --yes/],
  ['another file as a flag', 'plan', plan({ '--file': '/etc/x' }), 'forbidden-flag', /--file is set by/, /own inputs/],
  [
    'a flag that carries secrets',
    'plan',
    plan({ '--env': 'A=1' }),
    'forbidden-flag',
    /--env can't be used by models/,
    /Omit --env/,
  ],
  ['a blocking flag', 'ps', { flags: { '--watch': true } }, 'forbidden-flag', /--watch is set by/, /Omit --watch/],
  [
    'a file outside',
    'plan',
    { file: '/etc/hosts.dstack.yml' },
    'outside-workspace',
    /outside the workspace/,
    /Use a path inside .*workspace/,
  ],
  ['a way up', 'plan', { file: 'sub/../../x.dstack.yml' }, 'outside-workspace', /contains `\.\.`/, /without `\.\.`/],
  [
    'a link that leads out',
    'plan',
    { file: 'link.dstack.yml' },
    'outside-workspace',
    /leads to .*other\.dstack\.yml/,
    /Use a path inside/,
  ],
  [
    'a file of another kind',
    'plan',
    { file: 'notes.txt' },
    'not-a-configuration',
    /"notes\.txt" is not a configuration/,
    /"find" lists the configurations/,
  ],
  [
    'a file that is missing',
    'plan',
    { file: 'nosuch.dstack.yml' },
    'file-not-found',
    /no file nosuch/,
    /Check the path/,
  ],
  [
    'a file that is not YAML',
    'plan',
    { file: 'broken.dstack.yml' },
    'invalid-file',
    /isn't valid YAML.*line 3/s,
    /plan again/,
  ],
  ['a file without a type', 'plan', { file: 'no-type.dstack.yml' }, 'invalid-file', /no `type`/, /Add `type: task`/],
  [
    'a type that dstack does not know',
    'plan',
    { file: 'taks.dstack.yml' },
    'invalid-file',
    /has the type "taks", which dstack [\d.]+ doesn't document/,
    /types are task, service/,
  ],
  [
    'a preset, which dstack does not create detached',
    'plan',
    { file: 'preset.dstack.yml' },
    'invalid-file',
    /is a preset, which dstack can't create detached.*Nothing was run/,
    /The user can run `dstack apply -f preset\.dstack\.yml`.*presets/,
  ],
  ['no token', 'apply', {}, 'invalid-input', /token: missing; it must be a string/, /apply takes: token/],
  [
    'a token of nobody',
    'apply',
    { token: 'abcdefg-abcdefg' },
    'token-unknown',
    /no server of yours issued it/,
    /call plan/,
  ],
  [
    'a token for a preview',
    'stop',
    { run: 'train', token: 'abcdefg-abcdefg' },
    'invalid-input',
    /unknown "token"/,
    /stop takes: run, abort, project/,
  ],
  ['no run', 'stop', {}, 'invalid-input', /run: missing/, /stop takes: run/],
  ['a type without a name', 'delete', { type: 'fleet' }, 'invalid-input', /needs `type` and `name`/, /fleet, or list/],
  [
    'an instance of a volume',
    'delete',
    { type: 'volume', name: 'vol', instance: 1 },
    'invalid-input',
    /`instance` is for/,
    /fleet shows the instances/,
  ],
  [
    'a path that leads out of the service',
    'request',
    { run: 'llm', path: '/../../../api/users/list' },
    'invalid-input',
    /isn't a path within the service/,
    /Give a path/,
  ],
  [
    'the address of another host',
    'request',
    { run: 'llm', path: '//evil/x' },
    'invalid-input',
    /isn't a path/,
    /no host/,
  ],
  [
    'a header that carries a credential',
    'request',
    { run: 'llm', headers: { Authorization: 'Bearer x' } },
    'invalid-input',
    /"authorization" can't be set/,
    /Only these can: accept/,
  ],
  [
    'a header with a line break',
    'request',
    { run: 'llm', headers: { accept: 'a\r\nHost: evil' } },
    'invalid-input',
    /headers\.accept/,
    /request takes: run/,
  ],
  [
    'a chat with a path',
    'request',
    { run: 'llm', chat: 'hi', path: '/' },
    'invalid-input',
    /goes without path/,
    /other/,
  ],
  ['a body without a method', 'request', { run: 'llm', body: {} }, 'invalid-input', /needs a method/, /POST/],
  ['a limit without a chat', 'request', { run: 'llm', max_tokens: 5 }, 'invalid-input', /is for `chat`/, /`body`/],
  ['no run to attach to', 'attach', {}, 'invalid-input', /Set `run`/, /ps lists the runs/],
  [
    'a command that is none',
    'help',
    { command: 'aply' },
    'unknown-command',
    /doesn't document `aply`.*apply/,
    /^Did you mean `apply`\?/,
  ],
];

describe('a wrong call is refused before dstack runs, with the next step', () => {
  test.each(REFUSED)('%s (%s)', async (_what, tool, input, code, says, next) => {
    const before = await recorder.calls();
    expectRefusal(await client.call(tool, input), { code, says, next });
    expect(await recorder.calls()).toEqual(before);
  });

  const wrongTypes = tools.flatMap((tool) =>
    Object.keys(tool.input.shape).map((field) => ({ tool: tool.name, field })),
  );

  test.each(wrongTypes)('a value of the wrong type for `$field` of $tool', async ({ tool, field }) => {
    const before = await recorder.calls();
    for (const value of [[{}], null]) {
      const answer = await client.call(tool, { [field]: value });
      expectRefusal(answer, {
        code: 'invalid-input',
        says: new RegExp(`\\b${field}\\b`),
        next: new RegExp(`${tool} takes: `),
      });
    }
    expect(await recorder.calls()).toEqual(before);
  });

  test.each(tools.map(({ name }) => name))('a parameter that %s does not have', async (tool) => {
    const before = await recorder.calls();
    expectRefusal(await client.call(tool, { yes: true }), {
      code: 'invalid-input',
      says: /unknown "yes"/,
      next: new RegExp(`${tool} takes`),
    });
    expect(await recorder.calls()).toEqual(before);
  });
});

describe('a change that no longer matches the current state is refused, and nothing is changed', () => {
  test('a token with another price in it, and a token that was used', async () => {
    const name = uniqueName('tokens');
    await home.write('tokens.dstack.yml', task(name, { commands: ['exit 0'] }));
    const planned = await client.call('plan', { file: 'tokens.dstack.yml' });
    const { token } = planned.facts;
    expect(token).toMatch(new RegExp(`^create-task-${name}-[\\d.]+usd-`));
    expectRefusal(await client.call('apply', { token: String(token).replace(/-[\d.]+usd-/, '-0.01usd-') }), {
      code: 'token-unknown',
      says: /no server of yours issued it/,
      next: /copy the token from the preview unchanged/,
    });
    expect(await runNames()).not.toContain(name);

    const applied = await client.call('apply', { token });
    expect(applied.facts).toMatchObject({ outcome: 'done', operation: 'create' });
    const before = await recorder.calls();
    const again = await client.call('apply', { token });
    // It returns the result, and does nothing.
    expect(again.facts).toMatchObject({ outcome: 'done', output: applied.facts['output'] });
    expect(again.facts['summary']).toMatch(/used before; nothing was done again/);
    expect(await recorder.calls()).toEqual(before);
  });

  test('a file that was edited after the plan', async () => {
    const name = uniqueName('edited');
    await home.write('edited.dstack.yml', task(name));
    const planned = await client.call('plan', { file: 'edited.dstack.yml' });
    await home.write('edited.dstack.yml', task(name, { commands: ['echo something else'] }));
    const refusal = {
      code: 'plan-changed',
      says: /edited\.dstack\.yml was edited.*token is no longer valid/,
      next: /Call plan again/,
    };
    expectRefusal(await client.call('apply', { token: planned.facts['token'] }), refusal);
    // Undoing the edit doesn't make it valid again.
    await home.write('edited.dstack.yml', task(name));
    expectRefusal(await client.call('apply', { token: planned.facts['token'] }), refusal);
    await expectNoChange(name);
  });

  test('a run of the same name that was started after the plan', async () => {
    const name = uniqueName('overtaken');
    await home.write('overtaken.dstack.yml', task(name));
    const planned = await client.call('plan', { file: 'overtaken.dstack.yml' });
    expect(planned.facts['operation']).toBe('create');
    await home.write('other.dstack.yml', task(name, { commands: ['echo other', 'sleep infinity'] }));
    const theirs = await client.call('plan', { file: 'other.dstack.yml' });
    expect((await client.call('apply', { token: theirs.facts['token'] })).facts['outcome']).toBe('done');

    expectRefusal(await client.call('apply', { token: planned.facts['token'] }), {
      code: 'plan-changed',
      says: /the action was create, now it is replace/,
      next: /Call plan again/,
    });
    const log = await waitForLog(client, name, 'other');
    expect(log.isError).toBe(false);
    await previewAndStop(client, name);
  });

  test('a project that is not configured', async () => {
    for (const [tool, input] of [
      ['plan', { file: FILE, project: 'nosuch' }],
      ['ps', { project: 'nosuch' }],
      ['stop', { run: NAME, project: 'nosuch' }],
      ['get', { name: NAME, project: 'nosuch' }],
    ] as const) {
      const before = await recorder.calls();
      expectRefusal(await client.call(tool, input), {
        code: 'policy',
        says: /No project nosuch is configured/,
        next: /Configured: main\. The user can add one/,
      });
      expect(await recorder.calls()).toEqual(before);
    }
  });

  test.each([
    ['get', { name: 'nosuch-run' }],
    ['logs', { run: 'nosuch-run' }],
    ['stop', { run: 'nosuch-run' }],
    ['attach', { run: 'nosuch-run' }],
    ['copy', { direction: 'download', run: 'nosuch-run', local: 'x', remote: 'x' }],
    ['request', { run: 'nosuch-run' }],
    ['metrics', { run: 'nosuch-run' }],
    ['event', { run: 'nosuch-run' }],
    ['fleet', { name: 'nosuch-fleet' }],
    ['get', { name: 'nosuch-volume', type: 'volume' }],
    ['get', { name: 'nosuch-gateway', type: 'gateway' }],
    ['delete', { type: 'fleet', name: 'nosuch-fleet' }],
    ['delete', { type: 'volume', name: 'nosuch-volume' }],
  ] as const)('%s of something that does not exist: %o', async (tool, input) => {
    const answer = await client.call(tool, input);
    expect(answer.isError, answer.text).toBe(true);
    expect(answer.facts['code']).toMatch(/^(?:not-found|invalid-name)$/);
    expect(answer.text).toMatch(/nosuch-\w+/);
    expect(answer.facts['next']).toMatch(/\bps\b|fleet|list/);
    expect((await recorder.calls()).at(-1)).not.toContain('--yes');
  });

  async function expectNoChange(name: string): Promise<void> {
    expect(await runNames()).not.toContain(name);
    const changing = (await recorder.calls()).filter((argv) => argv.includes('--yes') && argv.join(' ').includes(name));
    expect(changing).toEqual([]);
  }
});

describe('problems of the setup are reported with a fix', () => {
  const CALLS = [
    ['ps', {}],
    ['plan', { file: FILE }],
    ['stop', { run: NAME }],
  ] as const;

  async function expectEach(
    setUp: { env?: Record<string, string>; url?: string; token?: string },
    wanted: { code: RegExp; says: RegExp; next: RegExp },
  ): Promise<TestClient> {
    const { env = {}, ...server } = setUp;
    const own = await createTestHome(server);
    await own.write(FILE, task(NAME));
    // The help pages that the shared server has read before.
    const known = { DSTACK_MCP_CLI: recorder.cli, DSTACK_MCP_STATE_DIR: home.stateDir };
    const broken = await connect({ env: { ...own.env, ...known, ...env } });
    const [examined, listed, ...answers] = await Promise.all([
      broken.call('doctor'),
      broken.listTools(),
      ...CALLS.map(([tool, input]) => broken.call(tool, input)),
    ]);
    for (const { text, facts } of answers) {
      expect(facts['code'], text).toMatch(wanted.code);
      expect(facts['outcome']).toMatch(/^(?:failed|blocked)$/);
      expect(facts['summary']).toMatch(wanted.says);
      expect(facts['next']).toMatch(wanted.next);
      expect(facts['token']).toBeUndefined();
    }
    // The tools are listed anyway, and doctor reports it as well.
    expect(listed).toHaveLength(tools.filter(({ card }) => card !== 'buttons').length);
    expect(examined.facts['healthy'], examined.text).toBe(false);
    expect(examined.text).toMatch(wanted.says);
    return broken;
  }

  test('an unreachable server', async () => {
    await expectEach(
      { url: 'http://127.0.0.1:9' },
      { code: /^unreachable$/, says: /Failed to connect to dstack server http:\/\/127\.0\.0\.1:9/, next: /doctor/ },
    );
  });

  test('a wrong access token, which is never shown', async () => {
    const token = 'not-the-token-of-this-server';
    const broken = await expectEach(
      { token },
      { code: /^unauthorized$/, says: /Access to \S+ is denied/, next: /dstack project add/ },
    );
    const said = await Promise.all(CALLS.map(([tool, input]) => broken.call(tool, input)));
    expect(said.map(({ text }) => text).join('\n')).not.toContain(token);
  });

  test('a missing dstack', async () => {
    await expectEach(
      { env: { DSTACK_MCP_CLI: '/nowhere/dstack' } },
      { code: /^cli-not-found$/, says: /no executable file at \/nowhere\/dstack/, next: /uv tool install dstack/ },
    );
  });

  const TRACEBACK =
    'Traceback (most recent call last):\n  File "x.py", line 1\nModuleNotFoundError: No module named dstack';

  test.each([
    ['prints a traceback', [`printf '${TRACEBACK.replaceAll('\n', '\\n')}\\n' >&2`, 'exit 1'], /ModuleNotFoundError/],
    ['is something else', ['echo "usage: something else"'], /printed no version: usage: something else/],
    ['says nothing', ['exit 0'], /printed no version/],
  ] as const)('the executable %s', async (_what, lines, says) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-cli-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const cli = await writeExecutable(folder, 'dstack', ['#!/bin/sh', ...lines]);
    await expectEach(
      { env: { DSTACK_MCP_CLI: cli } },
      { code: /^cli-not-understood$/, says, next: /--version` in a terminal.*Reinstall/ },
    );
  });

  test('a CLI that is too old for a tool', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-cli-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const cli = await writeExecutable(folder, 'dstack', OLD_CLI);
    const own = await createTestHome();
    await own.write(FILE, task(NAME));
    const old = await connect({ env: { ...own.env, DSTACK_MCP_WARM: 'off', DSTACK_MCP_CLI: cli } });
    for (const [tool, input, command] of [
      ['get', { name: NAME }, 'run'],
      ['stop', { run: NAME }, 'run'],
      ['event', {}, 'event'],
    ] as const) {
      const answer = await old.call(tool, input);
      expect(answer.facts).toMatchObject({ outcome: 'failed', code: 'cli-too-old' });
      expect(answer.facts['summary']).toMatch(new RegExp(`dstack 0\\.16\\.5 doesn't document \`${command}`));
      expect(answer.facts['next']).toMatch(/upgrade: `uv tool upgrade dstack`/);
    }
    // Documented commands still work.
    expect((await old.call('ps')).facts['outcome']).toBe('done');
    expect((await old.call('doctor')).text).toMatch(/0\.16\.5 doesn't document .*\bevent\b.*\n.*fix: Upgrade/);
  });

  /** Documents only `ps` and `stop`, in argparse's format. */
  const OLD_CLI = [
    '#!/bin/sh',
    'case "$*" in',
    '  --version) echo 0.16.5 ;;',
    "  'ps --help') printf 'Usage: dstack ps [-h] [-a]\\n\\nOptions:\\n  -h, --help  Show this help\\n  -a, --all  Show all runs\\n' ;;",
    '  ps) echo " NAME  STATUS" ;;',
    "  'stop --help') printf 'Usage: dstack stop [-h] [--project NAME] [-x] [-y] run_name\\n\\nPositional Arguments:\\n  run_name\\n\\nOptions:\\n  -h, --help  Show this help\\n  --project NAME  The project\\n  -x, --abort  Abort it\\n  -y, --yes  Ask nothing\\n' ;;",
    "  --help) printf 'Usage: dstack [-h] [-v] COMMAND ...\\n\\nCommands:\\n  COMMAND\\n    ps  Show runs\\n    stop  Stop a run\\n\\nOptions:\\n  -h, --help  Show this help\\n' ;;",
    '  *) echo "dstack: error: invalid choice" >&2; exit 2 ;;',
    'esac',
  ];
});

test('a call that is cancelled halfway leaves no process, and the server answers the next one', async () => {
  const own = await createTestHome();
  const faulty = await createFaultyCli(own);
  await faulty.breakWith(
    { words: ['ps', '--all'], python: ['import subprocess', "subprocess.run(['sleep', '1000'])"] },
    { words: ['ps'], python: ["print('NAME  STATUS', flush=True)", 'os._exit(0)'] },
  );
  const server = await connect({ env: { ...own.env, DSTACK_MCP_CLI: faulty.cli, DSTACK_MCP_WARM: 'off' } });
  const cancel = new AbortController();
  const ended = server.call('ps', { all: true }, { signal: cancel.signal }).then(
    () => 'answered',
    (error: unknown) => String(error),
  );
  const others = async () => (await processesIn(own.home)).filter(({ pid }) => pid !== server.pid);
  await until(others, (found) => found.some(({ command }) => command === 'sleep 1000'));
  cancel.abort();
  expect(await ended).toMatch(/abort/i);
  expect(await until(others, (found) => found.length === 0)).toEqual([]);
  expect((await server.call('ps')).facts['outcome']).toBe('done');
});

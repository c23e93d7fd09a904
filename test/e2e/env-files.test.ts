import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { agreeing, connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { waitForLog } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
const SECRET = 'hunter2-never-shown';
const questions: string[] = [];
let home: TestHome;
let client: TestClient;

const write = async (file: string, text: string): Promise<void> => {
  const place = path.join(home.workspace, file);
  await mkdir(path.dirname(place), { recursive: true });
  await writeFile(place, text);
};

async function connectWith(env: Readonly<Record<string, string>>): Promise<TestClient> {
  const person = (message: string, field: 'approve' | 'name') => {
    questions.push(message);
    return agreeing(message, field);
  };
  return connect({ env: { ...home.env, ...env }, person, atEnd });
}

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  client = await connectWith({ DSTACK_MCP_ENV_FILES: 'on' });
});

test.each([
  ['the worker', 'on'],
  ['a plain process', 'off'],
])(
  'named variables are read from env files next to the configuration, passed to the run by %s, and never shown',
  async (_what, warm) => {
    const folder = `env-${warm}`;
    const file = `${folder}/run.dstack.yml`;
    const name = uniqueName(folder);
    const commands = ['echo "it was given $SECRET_WORD and $PLAIN_WORD"'];
    await write(file, JSON.stringify(task(name, { env: ['SECRET_WORD', 'PLAIN_WORD'], commands })));
    await write(`${folder}/.env`, 'SECRET_WORD="the one of .envrc goes first"\nPLAIN_WORD=abc\n');
    await write(`${folder}/.envrc`, `export SECRET_WORD="${SECRET}" # of the web page\n`);
    const checked = await client.call('config', { action: 'validate', file });
    expect(checked.facts).toMatchObject({ verdict: 'valid', unsetVariables: [] });
    // Only what starts the run differs between the two.
    const starter = warm === 'on' ? client : await connectWith({ DSTACK_MCP_ENV_FILES: 'on', DSTACK_MCP_WARM: warm });
    const plan = await starter.call('plan', { file });
    expect(plan.facts, plan.text).toMatchObject({ outcome: 'done', operation: 'create' });
    const warning = 'the run gets the values of SECRET_WORD from .envrc, PLAIN_WORD from .env';
    expect(plan.facts['warnings']).toContain(warning);
    expect(plan.text).toContain(warning);
    const applied = await starter.call('apply', { token: plan.facts['token'] });
    expect(applied.facts, applied.text).toMatchObject({ outcome: 'done' });
    expect(questions.at(-1)).toContain(warning);
    const logs = await waitForLog(client, name, 'it was given');
    expect(logs.text).toContain('it was given [masked] and abc');
    const audit = await readFile(path.join(home.stateDir, 'audit/audit.jsonl'), 'utf8');
    const errors = [client.stderr(), starter.stderr()];
    const seen = [checked, plan, applied, logs, questions, audit, errors].map((one) => JSON.stringify(one));
    for (const one of seen) expect(one).not.toContain(SECRET);
  },
);

test('a changed env file between plan and apply refuses the change', async () => {
  const file = 'edited/run.dstack.yml';
  await write(file, JSON.stringify(task(uniqueName('env'), { env: ['SECRET_WORD'] })));
  await write('edited/.envrc', 'SECRET_WORD=first-of-the-two\n');
  const plan = await client.call('plan', { file });
  await write('edited/.envrc', 'SECRET_WORD=second-of-the-two\n');
  const applied = await client.call('apply', { token: plan.facts['token'] });
  expect(applied.facts).toMatchObject({ outcome: 'refused', code: 'plan-changed' });
  expect(applied.text).toMatch(/the file \S+\.envrc was edited/);
  expect(applied.text).not.toContain('of-the-two');
});

test('what only a shell can evaluate is skipped, and reported by name', async () => {
  const file = 'shell/run.dstack.yml';
  await write(file, JSON.stringify(task(uniqueName('env'), { env: ['FROM_SHELL', 'PYTHONPATH', 'MISSING_ONE'] })));
  await write('shell/.envrc', 'source other\nFROM_SHELL=$(touch ran-it)\nPYTHONPATH=/tmp/evil\n');
  const plan = await client.call('plan', { file });
  expect(plan.facts, plan.text).toMatchObject({ outcome: 'blocked', code: 'missing-variable' });
  for (const text of [plan.text, String(plan.facts['summary'])]) {
    expect(text).toContain("variables that aren't set: FROM_SHELL, PYTHONPATH, MISSING_ONE.");
    expect(text).toContain('FROM_SHELL (line 2) in .envrc: it contains `$(`');
    expect(text).toContain('source (line 1) in .envrc: nothing in the file is run');
    expect(text).toContain('PYTHONPATH in .envrc: it would affect dstack itself');
  }
  await expect(stat(path.join(home.workspace, 'shell/ran-it'))).rejects.toThrow(/ENOENT/);
  // Now it is set: the next plan differs.
  await write('shell/.envrc', 'FROM_SHELL=plain\nPYTHONPATH=/tmp/evil\n');
  const again = await client.call('plan', { file });
  expect(again.text).toContain("variables that aren't set: PYTHONPATH, MISSING_ONE.");
});

test('env files are not read if the operator forbids it, and all unset variables are listed', async () => {
  const careful = await connectWith({ DSTACK_MCP_ENV_FILES: 'off' });
  await write('off/run.dstack.yml', JSON.stringify(task(uniqueName('env'), { env: ['ONE_WORD', 'OTHER_WORD'] })));
  await write('off/.envrc', 'ONE_WORD=read\nOTHER_WORD=read\n');
  const plan = await careful.call('plan', { file: 'off/run.dstack.yml' });
  expect(plan.facts).toMatchObject({ outcome: 'blocked', code: 'missing-variable' });
  expect(plan.text).toContain('Environment variable ONE_WORD is not set');
  expect(plan.text).toContain("names variables that aren't set: ONE_WORD, OTHER_WORD.");
  const checked = await careful.call('config', { action: 'validate', file: 'off/run.dstack.yml' });
  expect(checked.facts['unsetVariables']).toEqual(['ONE_WORD', 'OTHER_WORD']);
});

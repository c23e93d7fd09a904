import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createTestHome, task } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
/** Whichever warm process asks dstack about a file, it asks in the same way. */
const WARM = process.env['DSTACK_TEST_WARM'] ?? 'on';
const MODES = [WARM, 'off'];
let home: TestHome;
const clients = new Map<string, TestClient>();
const clientOf = (warm: string): TestClient => {
  const client = clients.get(warm);
  if (client === undefined) throw new Error(`no client for ${warm}`);
  return client;
};

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  await home.write('good.dstack.yml', task('config-e2e'));
  await home.write('bad.dstack.yml', 'type: task\nname: x\ncomands: [a]\nenv: [NOBODY_SETS_ME]\n');
  for (const warm of MODES) clients.set(warm, await connect({ env: { ...home.env, DSTACK_MCP_WARM: warm }, atEnd }));
});

describe.each(MODES)('with DSTACK_MCP_WARM=%s', (warm) => {
  test('a file is validated, and each problem has its line, a fix and dstack’s message in both channels', async () => {
    const good = await clientOf(warm).call('config', { action: 'validate', file: 'good.dstack.yml' });
    expect(good.facts).toMatchObject({ outcome: 'done', verdict: 'valid' });
    expect(good.facts['hash']).toMatch(/^[0-9a-f]{64}$/);
    const bad = await clientOf(warm).call('config', { action: 'validate', file: 'bad.dstack.yml' });
    expect(bad.facts).toMatchObject({ outcome: 'blocked', verdict: 'invalid', unsetVariables: ['NOBODY_SETS_ME'] });
    for (const text of [bad.text, String(bad.facts['output'])]) {
      expect(text).toContain('bad.dstack.yml:3:1: error in comands');
      expect(text).toContain('Did you mean `commands`?');
      expect(text).toContain('Either `commands` or `image` must be set');
    }
  });

  test('a file is written, changed by its hash, and can be planned', async () => {
    const file = `written-${warm}.dstack.yml`;
    const text = 'type: task # kept\nname: written\ncommands: [echo hi]\n';
    const created = await clientOf(warm).call('write_config', { file, text });
    expect(created.facts, created.text).toMatchObject({ outcome: 'done' });
    const edits = [{ path: 'max_duration', value: '1h' }];
    const blind = await clientOf(warm).call('write_config', { file, edits });
    const { hash } = created.facts;
    expect(blind.facts).toMatchObject({ outcome: 'refused', code: 'file-exists', hash, output: text.trimEnd() });
    const changed = await clientOf(warm).call('write_config', { file, edits, expected_hash: blind.facts['hash'] });
    expect(changed.text).toContain('+max_duration: 1h');
    expect(await readFile(path.join(home.workspace, file), 'utf8')).toBe(`${text}max_duration: 1h\n`);
    const audit = await readFile(path.join(home.stateDir, 'audit/audit.jsonl'), 'utf8');
    expect(audit.split('\n').filter((line) => line.includes(file)).length).toBe(4);
  });
});

// A plain process is asked as above.
describe('with a warm process', () => {
  let client: TestClient;
  beforeAll(() => {
    client = clientOf(WARM);
  });

  test('a property is described, an unknown one is rejected, and files are found', async () => {
    const known = await client.call('config', { action: 'describe', property: 'service.scaling' });
    expect(known.text).toContain('scale_up_delay');
    const unknown = await client.call('config', { action: 'describe', property: 'task.gpus' });
    expect(unknown.facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
    const found = await client.call('config', { action: 'find' });
    expect(found.text).toContain('good.dstack.yml: task config-e2e');
  });

  test('a starter file is valid, and can be written and read again', async () => {
    const started = await client.call('config', { action: 'start', property: 'service' });
    expect(started.facts).toMatchObject({ outcome: 'done', verdict: 'valid' });
    const text = String(started.facts['output']).replace(/^.*\n/, '');
    expect(text).toMatch(/^port: 8000 # EXAMPLE$/m);
    const file = 'started.dstack.yml';
    const written = await client.call('write_config', { file, text });
    expect(written.facts, written.text).toMatchObject({ outcome: 'done' });
    const read = await client.call('config', { action: 'read', file });
    expect(read.facts).toMatchObject({ output: text, hash: written.facts['hash'] });
    const undone = await client.call('write_config', { file, undo: true, expected_hash: written.facts['hash'] });
    expect(undone.text).toMatch(/which write_config had created, was deleted/);
    expect((await client.call('config', { action: 'read', file })).facts).toMatchObject({ code: 'file-not-found' });
    for (const bad of [{ action: 'start' }, { action: 'start', property: 'tsk' }, { action: 'read' }])
      expect((await client.call('config', bad)).facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
  });

  test('profiles are validated from their file', async () => {
    await mkdir(path.join(home.workspace, '.dstack'), { recursive: true });
    await home.write('.dstack/profiles.yml', 'profiles:\n  - name: cheap\n    max_prise: 2\n');
    const bad = await client.call('config', { action: 'validate', file: '.dstack/profiles.yml' });
    expect(bad.facts).toMatchObject({ outcome: 'blocked', verdict: 'invalid' });
    expect(bad.text).toContain('.dstack/profiles.yml:3:5: error in profiles.0.max_prise');
    expect(bad.text).toContain('Did you mean `max_price`?');
    await rm(path.join(home.workspace, '.dstack'), { recursive: true });
  });
});

test('a read-only server writes no file', async () => {
  const reader = await connect({ env: { ...home.env, DSTACK_MCP_READ_ONLY: 'true', DSTACK_MCP_WARM: 'off' } });
  const answer = await reader.call('write_config', { file: 'no.dstack.yml', text: 'type: task\ncommands: [a]\n' });
  expect(answer.facts).toMatchObject({ outcome: 'refused', code: 'read-only' });
});

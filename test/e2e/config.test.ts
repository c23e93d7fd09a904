import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { TestClient } from '../support/connect.ts';
import { createTestHome, task } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';

const atEnd = collectEnds(afterAll);
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
  for (const warm of ['on', 'off'])
    clients.set(warm, await connect({ env: { ...home.env, DSTACK_MCP_WARM: warm }, atEnd }));
});

describe.each(['on', 'off'])('with the warm worker %s', (warm) => {
  test('a file is judged, and a problem has its line, its mend and dstack’s words in both channels', async () => {
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

  test('a property is described, an unknown one refused, and files are found', async () => {
    const known = await clientOf(warm).call('config', { action: 'describe', property: 'service.scaling' });
    expect(known.text).toContain('scale_up_delay');
    const unknown = await clientOf(warm).call('config', { action: 'describe', property: 'task.gpus' });
    expect(unknown.facts).toMatchObject({ outcome: 'refused', code: 'invalid-input' });
    const found = await clientOf(warm).call('config', { action: 'find' });
    expect(found.text).toContain('good.dstack.yml: task config-e2e');
  });

  test('a file is written, changed by its hash, and can be planned', async () => {
    const file = `written-${warm}.dstack.yml`;
    const text = 'type: task # kept\nname: written\ncommands: [echo hi]\n';
    const created = await clientOf(warm).call('write_config', { file, text });
    expect(created.facts, created.text).toMatchObject({ outcome: 'done' });
    const edits = [{ path: 'max_duration', value: '1h' }];
    const blind = await clientOf(warm).call('write_config', { file, edits });
    expect(blind.facts).toMatchObject({ outcome: 'refused', code: 'plan-changed' });
    const changed = await clientOf(warm).call('write_config', { file, edits, expected_hash: created.facts['hash'] });
    expect(changed.text).toContain('+max_duration: 1h');
    expect(await readFile(path.join(home.workspace, file), 'utf8')).toBe(`${text}max_duration: 1h\n`);
    const audit = await readFile(path.join(home.stateDir, 'audit/audit.jsonl'), 'utf8');
    expect(audit.split('\n').filter((line) => line.includes(file)).length).toBe(4);
  });
});

test('a server that may only read writes no file', async () => {
  const reader = await connect({ env: { ...home.env, DSTACK_MCP_READ_ONLY: 'true' } });
  const answer = await reader.call('write_config', { file: 'no.dstack.yml', text: 'type: task\ncommands: [a]\n' });
  expect(answer.facts).toMatchObject({ outcome: 'refused', code: 'read-only' });
});

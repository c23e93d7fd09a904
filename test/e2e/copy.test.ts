import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { connectChangeClient } from '../support/change-client.ts';
import type { ChangeClient } from '../support/change-client.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { connect } from '../support/connect.ts';
import type { Answer, TestClient } from '../support/connect.ts';
import { readFiles, writeFiles } from '../support/set-up-copy.ts';
import { task, uniqueName } from '../support/test-home.ts';
import { until, waitForRun } from '../support/wait.ts';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

const atEnd = collectEnds(afterAll);
const run = uniqueName('copy');
let changes: ChangeClient;
let client: TestClient;
let home: ChangeClient['home'];

beforeAll(async () => {
  changes = await connectChangeClient(atEnd);
  ({ client, home } = changes);
  await changes.start(run, task(run), atEnd);
  await waitForRun(client, run, 'running');
});

/** Copies, after the consent if that is needed. */
async function copy(call: Readonly<Record<string, unknown>>): Promise<Answer> {
  const asked = await client.call('copy', call);
  const { token } = asked.facts;
  return token === undefined ? asked : client.call('apply', { token });
}

/** Returns the entries of all copies in the audit log. */
const audited = (): readonly unknown[] => {
  const lines = readFileSync(path.join(home.stateDir, 'audit/audit.jsonl'), 'utf8').split('\n');
  return lines.filter((line) => line.includes('"tool":"copy"')).map((line): unknown => JSON.parse(line));
};

test('files are uploaded after one consent, and downloaded without, with pictures, both ways unchanged', async () => {
  const { prompts } = changes;
  await client.call('exec', { run, action: 'revoke' });
  const earlier = audited().length;
  const bytes = randomBytes(300_000);
  writeFiles(home.workspace, { 'src/train.py': 'print(1)\n', 'src/sub/data.bin': bytes, 'src/.gitignore': '*.log\n' });
  writeFiles(home.workspace, { 'src/debug.log': 'ignored', 'plot.png': PNG });
  const upload = { direction: 'upload', run, local: 'src', remote: 'src' };
  const asked = await client.call('copy', upload);
  expect(asked.facts, asked.text).toMatchObject({ operation: 'access', resource: { name: run } });
  expect(asked.text).toContain(`any upload in the whole run ${run}`);
  const before = prompts.length;
  const uploaded = await client.call('apply', { token: asked.facts['token'] });
  expect(prompts.length).toBe(before + 1);
  expect(prompts.at(-1)).toMatch(/- at once: upload \S+\/src \(3 files, 293\.0 KB\) to src$/m);
  expect(uploaded.facts, uploaded.text).toMatchObject({ outcome: 'done', files: 3, same: 0, checkedBy: 'sha256' });
  const again = await client.call('copy', upload);
  expect(again.facts, again.text).toMatchObject({ outcome: 'nothing-to-do', files: 0, same: 3 });
  await client.call('copy', { direction: 'upload', run, local: 'plot.png', remote: 'out/' });
  expect(prompts.length).toBe(before + 1);

  const downloaded = await client.call('copy', { direction: 'download', run, local: 'back', remote: 'src' });
  expect(downloaded.facts, downloaded.text).toMatchObject({ outcome: 'done', files: 2, leftOut: 1 });
  expect(readFileSync(path.join(home.workspace, 'back/sub/data.bin')).equals(bytes)).toBe(true);
  expect(Object.keys(readFiles(path.join(home.workspace, 'back')))).toEqual(['sub', 'sub/data.bin', 'train.py']);
  const plot = await client.call('copy', { direction: 'download', run, local: 'here.png', remote: 'out/plot.png' });
  expect(plot.pictures, plot.text).toEqual([{ type: 'image', mimeType: 'image/png', data: PNG.toString('base64') }]);
  mkdirSync(path.join(home.workspace, 'in'));
  writeFileSync(path.join(home.workspace, 'in/train.py'), 'mine');
  const refused = await client.call('copy', { direction: 'download', run, local: 'in/', remote: 'src/train.py' });
  expect(refused.facts, refused.text).toMatchObject({ outcome: 'refused', code: 'file-exists' });
  expect(readFileSync(path.join(home.workspace, 'in/train.py'), 'utf8')).toBe('mine');
  const reader = await connect({ env: { ...home.env, DSTACK_MCP_READ_ONLY: 'on' }, atEnd: onTestFinished });
  const forbidden = await reader.call('copy', { ...upload, local: 'plot.png', remote: 'more.png' });
  expect(forbidden.facts, forbidden.text).toMatchObject({ outcome: 'refused', code: 'read-only' });
  const read = await reader.call('copy', { direction: 'download', run, local: 'read.py', remote: 'src/train.py' });
  expect(read.facts, read.text).toMatchObject({ outcome: 'done', files: 1 });
  const secret = await reader.call('copy', { direction: 'download', run, local: 'profile', remote: '/etc/passwd' });
  expect(secret.facts, secret.text).toMatchObject({ outcome: 'refused', code: 'read-only' });
  expect(existsSync(path.join(home.workspace, 'profile'))).toBe(false);
  expect(audited().slice(earlier)).toMatchObject(
    [...Array.from({ length: 3 }, () => 'upload'), ...Array.from({ length: 5 }, () => 'download')].flatMap(
      (operation) => [
        { event: 'started', operation },
        { event: 'ended', operation },
      ],
    ),
  );
});

test('a server that is killed in a download leaves no file under a final name, and the next one repeats it', async () => {
  writeFileSync(path.join(home.workspace, 'big'), Buffer.alloc(40_000_000));
  const uploaded = await copy({ direction: 'upload', run, local: 'big', remote: 'big' });
  expect(uploaded.facts, uploaded.text).toMatchObject({ outcome: 'done', files: 1 });
  const input = { direction: 'download', run, local: 'big-copy', remote: 'big' };
  const other = await connect({ env: home.env, atEnd: onTestFinished });
  const killed = other.call('copy', input, {
    onProgress: (message) => void (message.startsWith('Copied') && process.kill(other.pid, 'SIGKILL')),
  });
  await expect(killed).rejects.toThrow(/closed/i);
  const names = readdirSync(home.workspace);
  expect(names).not.toContain('big-copy');
  expect(names.filter((name) => name.startsWith('.dstack-mcp-copy-'))).toHaveLength(1);
  const answer = await client.call('copy', input);
  expect(answer.facts, answer.text).toMatchObject({ outcome: 'done', files: 1, bytes: 40_000_000 });
  expect(readdirSync(home.workspace).filter((name) => name.startsWith('.dstack-mcp-copy-'))).toEqual([]);
});

test('two servers that copy to one place at once leave one whole file there, and the other one says why', async () => {
  const other = await connect({ env: home.env, atEnd: onTestFinished });
  const contents = { one: Buffer.alloc(8_000_000, '1'), two: Buffer.alloc(8_000_000, '2') };
  writeFiles(home.workspace, contents);
  const up = (local: string, remote: string) => ({ direction: 'upload', run, local, remote });
  await copy(up('one', 'in/one'));
  await other.call('copy', up('two', 'in/two'));

  const down = (local: string, remote: string) => ({ direction: 'download', run, local, remote });
  const rivals = [
    { calls: [up('one', 'new'), up('two', 'new')], code: 'copy-failed', file: 'check' },
    { calls: [down('got', 'in/one'), down('got', 'in/two')], code: 'plan-changed', file: 'got' },
  ] as const;
  for (const { calls, code, file } of rivals) {
    const copyBy = (from: TestClient, call: (typeof calls)[number]) =>
      until(
        () => from.call('copy', call),
        ({ facts }) => facts['outcome'] !== 'waiting',
      );
    const answers = await Promise.all([copyBy(client, calls[0]), copyBy(other, calls[1])]);
    const texts = answers.map(({ text }) => text).join('\n');
    const won = answers.findIndex(({ facts }) => facts['outcome'] === 'done');
    expect(answers[won]?.facts, texts).toMatchObject({ files: 1, bytes: 8_000_000, checkedBy: 'sha256' });
    // The later one may have found the finished file.
    expect([code, 'file-exists'], texts).toContain(answers[1 - won]?.facts['code']);
    if (file === 'check') await client.call('copy', down(file, 'new'));
    const got = readFileSync(path.join(home.workspace, file));
    expect(got.equals(won === 0 ? contents.one : contents.two)).toBe(true);
  }
  expect(readdirSync(home.workspace).filter((name) => name.startsWith('.dstack-mcp-copy-'))).toEqual([]);
});

import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createAuditLog, auditEntry } from '../../../../src/safety/audit/audit-log.ts';
import type { AuditLogOptions, AuditEntry } from '../../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../../support/pending-change.ts';

const root = mkdtempSync(path.join(tmpdir(), 'audit-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const newFolder = (): string => {
  folders += 1;
  return path.join(root, String(folders), 'state');
};

const entry = (more: Partial<AuditEntry> = {}): AuditEntry => ({
  ...auditEntry('id1', pendingChange(), { event: 'approved', level: 'token' }),
  ...more,
});
const open = (folder: string, more: Partial<AuditLogOptions> = {}) =>
  createAuditLog({ folder, redact: (text) => text.replaceAll('hf_secret', '[masked]'), ...more });

function linesOf(folder: string): Record<string, unknown>[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => readFileSync(path.join(folder, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line));
}

test('a line contains the time, the change, its files, its price and its consent', () => {
  const folder = newFolder();
  open(folder, { now: () => new Date('2026-01-02T03:04:05Z') }).write(entry({ outcome: 'done', durationMs: 7 }));
  expect(linesOf(folder)).toEqual([
    {
      time: '2026-01-02T03:04:05.000Z',
      pid: process.pid,
      id: 'id1',
      event: 'approved',
      level: 'token',
      tool: 'apply',
      operation: 'create',
      resource: { kind: 'task', name: 'train' },
      project: 'main',
      server: 'http://127.0.0.1:3999',
      argv: pendingChange().argv,
      files: pendingChange().binding.files,
      pricePerHour: 1,
      outcome: 'done',
      durationMs: 7,
    },
  ]);
});

test.skipIf(process.platform === 'win32')('the folder and the file are private, even if they were not before', () => {
  const folder = newFolder();
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const log = open(folder);
  writeFileSync(log.file, '', { mode: 0o644 });
  chmodSync(log.file, 0o644);
  log.write(entry());
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(log.file).mode & 0o777).toBe(0o600);
  const fresh = newFolder();
  open(fresh).write(entry());
  expect(statSync(fresh).mode & 0o777).toBe(0o700);
  expect(statSync(path.join(fresh, 'audit.jsonl')).mode & 0o777).toBe(0o600);
});

test('lines are appended and never overwritten', () => {
  const folder = newFolder();
  open(folder).write(entry({ id: 'a' }));
  open(folder).write(entry({ id: 'b' }));
  expect(linesOf(folder).map((line) => line['id'])).toEqual(['a', 'b']);
});

test('the next line after one that was cut short starts on a new line', () => {
  const folder = newFolder();
  const log = open(folder);
  log.write(entry({ id: 'a' }));
  appendFileSync(log.file, '{"time":"cut');
  log.write(entry({ id: 'b' }));
  const lines = readFileSync(log.file, 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[2] ?? '')).toMatchObject({ id: 'b' });
});

test('secrets are masked: known values everywhere, and the values of variables and tokens in the argv', () => {
  const folder = newFolder();
  const argv = [
    'apply',
    '-e',
    'HF_TOKEN=abc',
    '--env=API_KEY=def',
    '-eKEY=ghi',
    '--token',
    'jkl',
    '-t',
    'mno',
    '--token=pqr',
    '--max-price',
    '2',
    'LOWER=x',
  ];
  open(folder).write(entry({ argv, why: 'echoed hf_secret', resource: { kind: 'task', name: 'hf_secret' } }));
  const [line] = linesOf(folder);
  expect(line).toMatchObject({ why: 'echoed [masked]', resource: { name: '[masked]' } });
  expect(line?.['argv']).toEqual([
    'apply',
    '-e',
    'HF_TOKEN=[masked]',
    '--env=API_KEY=[masked]',
    '-eKEY=[masked]',
    '--token',
    '[masked]',
    '-t',
    '[masked]',
    '--token=[masked]',
    '--max-price',
    '2',
    'LOWER=[masked]',
  ]);
});

test('an entry is one line of ASCII, regardless of its values', () => {
  const folder = newFolder();
  open(folder).write(entry({ why: 'a\nb\r\u001b[2J\u009b\u202e\u2028ü👍' }));
  const text = readFileSync(path.join(folder, 'audit.jsonl'), 'latin1');
  expect(text).toMatch(/^[\x20-\x7e]+\n$/);
  expect(linesOf(folder)[0]).toMatchObject({ why: 'a\nb\r\u001b[2J\u009b\u202e\u2028ü👍' });
});

test.each<[string, (folder: string) => void]>([
  ['the file is a folder', (folder) => mkdirSync(path.join(folder, 'audit.jsonl'), { recursive: true })],
  [
    'the file is a link',
    (folder) => {
      mkdirSync(folder, { recursive: true });
      symlinkSync(path.join(folder, 'elsewhere'), path.join(folder, 'audit.jsonl'));
    },
  ],
  [
    'the folder is a file',
    (folder) => {
      mkdirSync(path.dirname(folder), { recursive: true });
      writeFileSync(folder, '');
    },
  ],
  [
    'the folder is a link',
    (folder) => {
      mkdirSync(`${folder}-other`, { recursive: true });
      symlinkSync(`${folder}-other`, folder);
    },
  ],
])('if %s, nothing is written and the change is refused', (_what, prepare) => {
  const folder = newFolder();
  prepare(folder);
  expect(() => open(folder).write(entry())).toThrow(
    expect.objectContaining({ code: 'audit-unavailable', message: expect.stringContaining('nothing was changed') }),
  );
});

test('a full file is renamed, and only a number of them is kept', () => {
  const folder = newFolder();
  let second = 0;
  const log = open(folder, {
    maxBytes: 1_500,
    keepFiles: 2,
    now: () => new Date(Date.UTC(2026, 0, 1, 0, 0, second++)),
  });
  for (let index = 0; index < 30; index += 1) log.write(entry({ id: `n${index}` }));
  const names = readdirSync(folder).sort();
  expect(names.filter((name) => name !== 'audit.jsonl')).toHaveLength(2);
  const kept = linesOf(folder).map((line) => Number(String(line['id']).slice(1)));
  const sorted = kept.toSorted((a, b) => a - b);
  // The newest lines, without a gap.
  expect(sorted.at(-1)).toBe(29);
  expect(sorted).toEqual(Array.from({ length: kept.length }, (_, index) => 30 - kept.length + index));
  for (const name of names) expect(statSync(path.join(folder, name)).size).toBeLessThan(2_500);
});

test('after the clock was set back, a full file still sorts after the earlier ones', () => {
  const folder = newFolder();
  let second = 0;
  const log = open(folder, { maxBytes: 1, now: () => new Date(Date.UTC(2026, 0, 1, 0, 0, second)) });
  for (const at of [10, 20, 30, 5, 6]) {
    second = at;
    log.write(entry({ id: `at-${at}` }));
  }
  const ids = readdirSync(folder)
    .filter((name) => name !== 'audit.jsonl')
    .sort()
    .map((name): unknown => JSON.parse(readFileSync(path.join(folder, name), 'utf8')).id);
  expect(ids).toEqual(['at-10', 'at-20', 'at-30', 'at-5', 'at-6']);
});

test('a value with line breaks is masked to its end', () => {
  const folder = newFolder();
  open(folder).write(entry({ argv: ['--token=a\nb\nc', 'x'] }));
  expect(linesOf(folder)[0]?.['argv']).toEqual(['--token=[masked]', 'x']);
});

test('the rotation does not touch other files in the folder', () => {
  const folder = newFolder();
  mkdirSync(folder, { recursive: true });
  for (const name of ['a-notes.jsonl', 'attachments.json', 'audit-0-notes.jsonl'])
    writeFileSync(path.join(folder, name), '');
  const log = open(folder, { maxBytes: 1, keepFiles: 1 });
  for (let index = 0; index < 4; index += 1) log.write(entry());
  expect(readdirSync(folder)).toEqual(
    expect.arrayContaining(['a-notes.jsonl', 'attachments.json', 'audit-0-notes.jsonl']),
  );
});

test.each([
  [
    ['apply', '--env=HF_TOKEN=hf_1'],
    ['apply', '--env=HF_TOKEN=[masked]'],
  ],
  [
    ['apply', '-eHF_TOKEN=hf_1'],
    ['apply', '-eHF_TOKEN=[masked]'],
  ],
  [
    ['apply', '--env', 'HF_TOKEN=a\nb=c'],
    ['apply', '--env', 'HF_TOKEN=[masked]'],
  ],
  [
    ['apply', '--token=x', '--password=y'],
    ['apply', '--token=[masked]', '--password=[masked]'],
  ],
  [
    ['apply', '--token', 'x', '-t', 'y', '--password', 'z'],
    ['apply', '--token', '[masked]', '-t', '[masked]', '--password', '[masked]'],
  ],
  [
    ['apply', '--file', 'a/b=c.dstack.yml'],
    ['apply', '--file', 'a/b=c.dstack.yml'],
  ],
  [['--token'], ['--token']],
])('the argv %j is logged as %j', (argv, shown) => {
  const folder = newFolder();
  open(folder).write(entry({ argv }));
  expect(linesOf(folder)[0]?.['argv']).toEqual(shown);
});

test('a line that was cut short is ended first, and no line is empty', () => {
  const folder = newFolder();
  const log = open(folder);
  log.write(entry());
  log.write(entry());
  expect(readFileSync(log.file, 'utf8')).toMatch(/^\{.+\}\n\{.+\}\n$/);
  appendFileSync(log.file, '{"cut":');
  log.write(entry());
  expect(readFileSync(log.file, 'utf8')).toMatch(/^\{.+\}\n\{.+\}\n\{"cut":\n\{.+\}\n$/);
});

test('a file that has reached its maximum size is renamed', () => {
  const folder = newFolder();
  const first = open(folder);
  first.write(entry());
  const size = statSync(first.file).size;
  writeFileSync(path.join(folder, 'notes.txt'), 'mine');
  open(folder, { maxBytes: 2 * size, keepFiles: 0 }).write(entry());
  expect(readdirSync(folder)).toEqual(['notes.txt']);
  open(folder, { maxBytes: 2 * size + 1 }).write(entry());
  expect(readdirSync(folder).sort()).toEqual(['audit.jsonl', 'notes.txt']);
});

test('a refusal because of the log contains the reason and the cause', () => {
  const folder = newFolder();
  mkdirSync(path.dirname(folder), { recursive: true });
  writeFileSync(folder, 'a file');
  const write = (): void => open(folder).write(entry());
  expect(write).toThrow(/can't be written, so nothing was changed/);
  expect(write).toThrow(
    expect.objectContaining({
      code: 'audit-unavailable',
      hint: 'Tell the user; doctor shows the folder.',
      cause: expect.any(Error),
    }),
  );
});

import { mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigurationService } from '../../support/make-configuration-service.ts';
import type { TestConfigurationService } from '../../support/make-configuration-service.ts';

const TEXT = `# Training
type: task
name: train
# one by one
commands:
  - echo hi # greet
  - sleep 1
resources: {gpu: 24GB}
`;

let home: string;
let runner: WarmRunner;
let service: TestConfigurationService;
const FILE = 'train.dstack.yml';
const read = (name = FILE): Promise<string> => readFile(path.join(home, name), 'utf8');

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'dstack-mcp-write-')));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  service = makeConfigurationService({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  service.audited.length = 0;
  await writeFile(path.join(home, FILE), TEXT);
});

describe('write_config', () => {
  test('creates a valid file, records it, and leaves no other files', async () => {
    const { kind, diff, hash, previous } = await service.write({ file: 'new.dstack.yml', text: TEXT });
    expect([kind, previous]).toEqual(['written', undefined]);
    expect(diff).toContain('+type: task');
    expect(await read('new.dstack.yml')).toBe(TEXT);
    expect(await service.read('new.dstack.yml')).toMatchObject({ text: TEXT, hash, folder: home });
    expect(service.audited.map(({ event, outcome }) => [event, outcome])).toEqual([
      ['approved', undefined],
      ['done', 'done'],
    ]);
    expect((await readdir(home)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await rm(path.join(home, 'new.dstack.yml'));
  });

  test('literal secrets are masked in what is shown, and stay in the file', async () => {
    const text = `${TEXT}env:\n  - HF_TOKEN=hf_0123456789\nregistry_auth: {username: me, password: passw0rd}\n`;
    const { diff, hash } = await service.write({ file: 'secret.dstack.yml', text });
    expect(await read('secret.dstack.yml')).toBe(text);
    const shown = await service.readMasked('secret.dstack.yml');
    expect(shown.hash).toBe(hash);
    expect(shown.note).toContain('env.HF_TOKEN, registry_auth.username, registry_auth.password.');
    const next = { file: 'secret.dstack.yml', expectedHash: hash };
    await expect(service.write({ ...next, text: shown.text })).rejects.toMatchObject({ code: 'invalid-input' });
    const changed = await service.write({ ...next, edits: [{ path: 'registry_auth.password', value: 'an0ther' }] });
    expect(changed).toMatchObject({
      kind: 'written',
      isRepeatable: false,
      diff: expect.stringMatching(/^Only masked values of/),
    });
    const broken = await service.check({
      text: text.replace('- HF', '- 7HF').replace('username', 'user'),
      shownPath: 'x',
    });
    expect(broken.verdict).toBe('invalid');
    for (const seen of [diff, shown.text, broken.transcript.stdout.split("dstack's output")[0]])
      expect(seen).not.toMatch(/hf_0|passw0rd/);
    await rm(path.join(home, 'secret.dstack.yml'));
  });

  test('edits properties and keeps comments, order and formatting', async () => {
    const { hash } = await service.read(FILE);
    const edits = [
      { path: 'commands.0', value: 'echo hello' },
      { path: 'resources.gpu', value: '80GB' },
      { path: 'max_duration', value: '2h' },
      { path: 'commands.1' },
    ];
    const { diff, previous } = await service.write({ file: FILE, edits, expectedHash: hash });
    expect(await read()).toBe(
      TEXT.replace('echo hi', 'echo hello')
        .replace('  - sleep 1\n', '')
        .replace('24GB}\n', '80GB}\nmax_duration: 2h\n'),
    );
    expect(diff.split('\n').filter((line) => /^[-+][^-+]/.test(line))).toEqual([
      '-  - echo hi # greet',
      '-  - sleep 1',
      '-resources: {gpu: 24GB}',
      '+  - echo hello # greet',
      '+resources: {gpu: 80GB}',
      '+max_duration: 2h',
    ]);
    expect(previous).toEqual({ text: TEXT, hash });
  });

  test('an edit fills an empty property', async () => {
    const text = `${TEXT}tags:\n`;
    const { hash } = await service.write({ file: 'empty.dstack.yml', text });
    await service.write({ file: 'empty.dstack.yml', edits: [{ path: 'tags.team', value: 'x' }], expectedHash: hash });
    expect(await read('empty.dstack.yml')).toBe(`${text}  team: x\n`);
  });

  test('writes nothing that dstack finds invalid, and locates the problem', async () => {
    const { hash } = await service.read(FILE);
    const { kind, checked } = await service.write({
      file: FILE,
      edits: [{ path: 'nodes', value: 0 }],
      expectedHash: hash,
    });
    expect(kind).toBe('invalid');
    expect(checked.problems.map((problem) => problem.path)).toEqual(['nodes']);
    expect(await read()).toBe(TEXT);
    expect(service.audited).toEqual([]);
  });

  test.for([
    ['without the hash of the existing file', undefined, /already exists/],
    ['with the hash of another text', 'f'.repeat(64), /changed since it was read/],
  ] as const)('rejects a write %s', async ([, expectedHash, why]) => {
    await expect(service.write({ file: FILE, text: 'type: task\ncommands: [b]', expectedHash })).rejects.toThrow(why);
    expect(await read()).toBe(TEXT);
  });

  test('rejects a hash for a deleted file, and a missing folder', async () => {
    await expect(service.write({ file: 'gone.dstack.yml', text: TEXT, expectedHash: 'a' })).rejects.toThrow(
      /no longer exists/,
    );
    await expect(service.write({ file: 'no/x.dstack.yml', text: TEXT })).rejects.toThrow(/folder|resolved|ENOENT/);
  });

  test('overwrites only configurations, and writes no other file names and nothing outside the workspace', async () => {
    await writeFile(path.join(home, 'notes.dstack.yml'), 'just: notes\n');
    const { hash } = await service.read('notes.dstack.yml');
    const over = service.write({ file: 'notes.dstack.yml', text: TEXT, expectedHash: hash });
    await expect(over).rejects.toThrow(/isn't a dstack configuration/);
    expect(await read('notes.dstack.yml')).toBe('just: notes\n');
    for (const file of ['../x.dstack.yml', '/etc/x.dstack.yml'])
      await expect(service.write({ file, text: TEXT }), file).rejects.toMatchObject({ code: 'outside-workspace' });
    for (const file of ['train.yml', '.env'])
      await expect(service.write({ file, text: TEXT }), file).rejects.toMatchObject({ code: 'not-a-configuration' });
  });

  test.for([
    ['a.b', /not in/],
    ['commands.x', /isn't an item/],
    ['name.first', /plain value/],
    ['commands.7', /isn't an item/],
    ['nodes', /not in the file/],
  ] as const)('rejects an edit of the invalid path %s', async ([place, why]) => {
    const { hash } = await service.read(FILE);
    await expect(service.write({ file: FILE, edits: [{ path: place }], expectedHash: hash })).rejects.toThrow(why);
  });
});

test('configurations in the workspace and its folders are found with type and name', async () => {
  await mkdir(path.join(home, 'more'), { recursive: true });
  await writeFile(path.join(home, 'more/.dstack.yml'), 'type: fleet\nname: f\nnodes: 1\n');
  await writeFile(path.join(home, 'more/x.dstack.yaml'), 'type: [broken\n');
  await writeFile(path.join(home, 'more/other.yml'), 'type: task\n');
  const found = await service.find();
  expect(found.map(({ path: place, type, name }) => [place, type, name])).toEqual(
    expect.arrayContaining([
      [FILE, 'task', 'train'],
      ['more/.dstack.yml', 'fleet', 'f'],
      ['more/x.dstack.yaml', 'unreadable', ''],
    ]),
  );
  expect(found.some(({ path: place }) => place.endsWith('other.yml'))).toBe(false);
});

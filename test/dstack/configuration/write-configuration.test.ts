import { mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigPower } from '../../support/make-configuration-service.ts';
import type { TestPower } from '../../support/make-configuration-service.ts';

const TEXT = `# What we train
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
let power: TestPower;
const FILE = 'train.dstack.yml';
const read = (name = FILE): Promise<string> => readFile(path.join(home, name), 'utf8');

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'dstack-mcp-write-')));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  power = makeConfigPower({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  power.audited.length = 0;
  await writeFile(path.join(home, FILE), TEXT);
});

describe('write_config', () => {
  test('creates a file that is valid, records it, and leaves nothing else behind', async () => {
    const { kind, diff, hash, previous } = await power.write({ file: 'new.dstack.yml', text: TEXT });
    expect([kind, previous]).toEqual(['written', undefined]);
    expect(diff).toContain('+type: task');
    expect(await read('new.dstack.yml')).toBe(TEXT);
    expect(await power.read('new.dstack.yml')).toMatchObject({ text: TEXT, hash, folder: home });
    expect(power.audited.map(({ event, outcome }) => [event, outcome])).toEqual([
      ['approved', undefined],
      ['done', 'done'],
    ]);
    expect((await readdir(home)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await rm(path.join(home, 'new.dstack.yml'));
  });

  test('edits properties and keeps comments, order and the way of writing', async () => {
    const { hash } = await power.read(FILE);
    const edits = [
      { path: 'commands.0', value: 'echo hello' },
      { path: 'resources.gpu', value: '80GB' },
      { path: 'max_duration', value: '2h' },
      { path: 'commands.1' },
    ];
    const { diff, previous } = await power.write({ file: FILE, edits, expectedHash: hash });
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

  test('an empty property takes what is put into it', async () => {
    const text = `${TEXT}tags:\n`;
    const { hash } = await power.write({ file: 'empty.dstack.yml', text });
    await power.write({ file: 'empty.dstack.yml', edits: [{ path: 'tags.team', value: 'x' }], expectedHash: hash });
    expect(await read('empty.dstack.yml')).toBe(`${text}  team: x\n`);
  });

  test('writes nothing that dstack finds invalid, and says where', async () => {
    const { hash } = await power.read(FILE);
    const { kind, checked } = await power.write({
      file: FILE,
      edits: [{ path: 'nodes', value: 0 }],
      expectedHash: hash,
    });
    expect(kind).toBe('invalid');
    expect(checked.problems.map((problem) => problem.path)).toEqual(['nodes']);
    expect(await read()).toBe(TEXT);
    expect(power.audited).toEqual([]);
  });

  test.for([
    ['without the hash of the file that is there', undefined, /exists already/],
    ['with the hash of another text', 'f'.repeat(64), /changed meanwhile/],
  ] as const)('refuses %s', async ([, expectedHash, why]) => {
    await expect(power.write({ file: FILE, text: 'type: task\ncommands: [b]', expectedHash })).rejects.toThrow(why);
    expect(await read()).toBe(TEXT);
  });

  test('refuses a hash for a file that is gone, and a folder that is not there', async () => {
    await expect(power.write({ file: 'gone.dstack.yml', text: TEXT, expectedHash: 'a' })).rejects.toThrow(/no longer/);
    await expect(power.write({ file: 'no/x.dstack.yml', text: TEXT })).rejects.toThrow(/folder|resolved|ENOENT/);
  });

  test('never overwrites what is no configuration, nor anything else than a configuration or outside', async () => {
    await writeFile(path.join(home, 'notes.dstack.yml'), 'just: notes\n');
    const { hash } = await power.read('notes.dstack.yml');
    const over = power.write({ file: 'notes.dstack.yml', text: TEXT, expectedHash: hash });
    await expect(over).rejects.toThrow(/isn't a dstack configuration/);
    expect(await read('notes.dstack.yml')).toBe('just: notes\n');
    for (const file of ['train.yml', '../x.dstack.yml', '/etc/x.dstack.yml', '.env'])
      await expect(power.write({ file, text: TEXT }), file).rejects.toMatchObject({ code: 'outside-workspace' });
  });

  test.for([
    ['a.b', /not in/],
    ['commands.x', /no item/],
    ['name.first', /plain value/],
    ['commands.7', /no item/],
    ['nodes', /not in the file/],
  ] as const)('refuses an edit of %s that leads nowhere', async ([place, why]) => {
    const { hash } = await power.read(FILE);
    await expect(power.write({ file: FILE, edits: [{ path: place }], expectedHash: hash })).rejects.toThrow(why);
  });
});

test('configurations of the workspace are found with type and name, in folders too', async () => {
  await mkdir(path.join(home, 'more'), { recursive: true });
  await writeFile(path.join(home, 'more/.dstack.yml'), 'type: fleet\nname: f\nnodes: 1\n');
  await writeFile(path.join(home, 'more/x.dstack.yaml'), 'type: [broken\n');
  await writeFile(path.join(home, 'more/other.yml'), 'type: task\n');
  const found = await power.find();
  expect(found.map(({ path: place, type, name }) => [place, type, name])).toEqual(
    expect.arrayContaining([
      [FILE, 'task', 'train'],
      ['more/.dstack.yml', 'fleet', 'f'],
      ['more/x.dstack.yaml', 'unreadable', ''],
    ]),
  );
  expect(found.some(({ path: place }) => place.endsWith('other.yml'))).toBe(false);
});

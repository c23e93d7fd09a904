import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { checkArgv } from '../../../src/dstack/argv/check-argv.ts';
import { openHelpCache } from '../../../src/dstack/catalog/create-catalog.ts';
import type { HelpCache } from '../../../src/dstack/catalog/create-catalog.ts';
import { ownTranscript } from '../../../src/core/transcript.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { writeConfiguration } from '../../../src/configuration/write-configuration.ts';
import { createAttachmentStore } from '../../../src/attachments/attachment-store.ts';
import type { AttachmentRecord, AttachmentStore } from '../../../src/attachments/attachment-store.ts';
import { createAttachments } from '../../../src/attachments/attachments.ts';
import type { Attachments } from '../../../src/attachments/attachments.ts';
import { createWorkspace } from '../../../src/safety/files/workspace.ts';
import { recordedCatalog, silentLog } from '../../support/recorded-catalog.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-state-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const namesIn = async (place: string): Promise<readonly string[]> => (await readdir(place)).sort();

describe('a file of the catalog that', () => {
  const identity = { path: '/bin/dstack', realpath: '/bin/dstack', mtimeMs: 1, size: 2, version: '0.22.5' };
  const open = (): HelpCache => openHelpCache({ cacheDir: folder, identity, log: silentLog });
  const PAGE = 'Usage: dstack ps [--all]\n';
  const replaced = (text: string) => (file: string) => writeFile(file, text);

  const DAMAGES: readonly (readonly [string, (file: string, text: string) => Promise<unknown>])[] = [
    ['was cut short', (file, text) => writeFile(file, text.slice(0, text.length / 2))],
    ['is empty', replaced('')],
    ['contains zeros, as after a power failure', (file, text) => writeFile(file, Buffer.alloc(text.length))],
    ['has one letter changed', (file, text) => writeFile(file, text.replace('--all', '--ail'))],
    ['lost a page', (file, text) => writeFile(file, text.replace(/"ps":"[^"]*",/, ''))],
    ['is of another version', (file, text) => writeFile(file, text.replace('"format":1', '"format":2'))],
    ['is of a version without digests', (file, text) => writeFile(file, text.replace(/,"digest":"[^"]+"/, ''))],
    ['is a list', replaced('[1]')],
    ['is a link to itself', async (file) => (await rm(file), symlink(file, file))],
    ['is a folder', async (file) => (await rm(file), mkdir(file))],
  ];
  test.each(DAMAGES)('%s counts as missing, and no other file is left', async (what, damage) => {
    const cache = open();
    cache.set('ps', PAGE);
    cache.set('logs', 'Usage: dstack logs\n');
    await cache.settled();
    const [name = ''] = await readdir(folder);
    const file = path.join(folder, name);
    expect(await open().get('ps')).toBe(PAGE);
    await damage(file, await readFile(file, 'utf8'));
    const next = open();
    expect(await next.get('ps')).toBeUndefined();
    next.set('ps', PAGE);
    await next.settled();
    expect(await readdir(folder)).toEqual([name]);
    // A folder can't be replaced by a file, so the page is fetched again each time.
    expect(await open().get('ps')).toBe(what === 'is a folder' ? undefined : PAGE);
  });
});

describe('a record of an attachment', () => {
  const record: AttachmentRecord = {
    version: 1,
    id: 'web',
    run: 'web',
    argv: ['attach', '--logs', 'web'],
    marker: 'nobody',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: new Date().toISOString(),
  };
  let logged: string[];
  let store: AttachmentStore;
  const place = (name: string): string => path.join(folder, 'attachments', name);
  const log = () => pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) });
  beforeEach(async () => {
    logged = [];
    store = createAttachmentStore(folder, log());
    await store.write(record);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['was cut short', () => writeFile(place('torn.json'), '{"version":1,"id":"to')],
    ['is empty', () => writeFile(place('torn.json'), '')],
    ['is a folder', () => mkdir(place('torn.json'))],
    ['has no version', () => writeFile(place('torn.json'), '{"id":"torn"}', { mode: 0o600 })],
    ['is open to other users', () => writeFile(place('torn.json'), JSON.stringify(record), { mode: 0o644 })],
  ])('that %s is moved aside and logged, and the others are kept', async (_what, make) => {
    await make();
    expect(await store.list()).toEqual([record]);
    expect(await namesIn(place(''))).toEqual(
      ['torn.json.broken-', 'web.json'].map((name) => expect.stringContaining(name)),
    );
    expect(logged.join('')).toContain('moved aside');
    expect(await store.list()).toEqual([record]);
    expect(logged).toHaveLength(1);
  });

  test('of another version is left to the server that created it, logged once, and not started again', async () => {
    const text = JSON.stringify({ ...record, version: 2, id: 'next', run: 'next', leader: 'in other words' });
    await writeFile(place('next.json'), text, { mode: 0o600 });
    expect(await store.list()).toEqual([record]);
    expect(await store.list()).toEqual([record]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/The attachment next was created by another version of this server/);
    await expect(startFor('next', () => Promise.reject(new Error('it must not be started')))).rejects.toMatchObject({
      code: 'state-unavailable',
      message: expect.stringContaining('another version'),
    });
    expect(await readFile(place('next.json'), 'utf8')).toBe(text);
  });

  test('that can’t be opened at the moment does not count as broken', async () => {
    await symlink(place('loop.json'), place('loop.json'));
    await expect(store.list()).rejects.toMatchObject({ code: 'ELOOP' });
    expect(await namesIn(place(''))).toEqual(['loop.json', 'web.json']);
  });

  test('that can’t be written leaves no other file', async () => {
    await mkdir(place('full.json'));
    await expect(store.write({ ...record, id: 'full' })).rejects.toMatchObject({ code: 'EISDIR' });
    expect(await namesIn(place(''))).toEqual(['full.json', 'web.json']);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['is a file', () => writeFile(place(''), '')],
    ['can’t be written', () => symlink('/sys/kernel', place(''))],
  ])('is reported as unavailable if its folder %s, and nothing is started', async (_what, make) => {
    await rm(place(''), { recursive: true });
    await make();
    const started = startFor('web', () => Promise.reject(new Error('it must not be started')));
    await expect(started).rejects.toMatchObject({ code: 'state-unavailable', hint: expect.stringContaining('doctor') });
  });

  function open(executable: () => Promise<string>): Attachments {
    const attachments = createAttachments({ stateDir: folder, executable, env: { PATH: '/usr/bin:/bin' }, log: log() });
    onTestFinished(() => attachments.close());
    return attachments;
  }
  async function startFor(run: string, executable: () => Promise<string>): Promise<unknown> {
    const argv = await checkArgv(
      { command: 'attach', flags: { '--logs': true }, positionals: [run] },
      recordedCatalog('0.22.5'),
    );
    return open(executable).start(argv, { run, deadlineMs: 30_000 });
  }
});

test('a configuration is reported as written even if its last audit line is missing', async () => {
  const full = (): never => {
    throw new ToolError('audit-unavailable', 'The disk is full.', '');
  };
  const written = await writeConfiguration(
    {
      workspace: createWorkspace({ folders: [folder], home: folder }),
      audit: { write: ({ event }) => (event === 'done' ? full() : undefined) },
      createdFiles: new Map(),
      check: () =>
        Promise.resolve({
          verdict: 'valid',
          problems: [],
          omitted: 0,
          advice: [],
          unsetVariables: [],
          transcript: ownTranscript('', ''),
        }),
      // As of a dstack that isn't a Python script: there is no second reading of the file to compare.
      reader: () => Promise.resolve({ introspection: { load: () => Promise.resolve(undefined) }, isPython: false }),
    },
    { file: 'new.dstack.yml', text: 'type: task\n' },
  );
  expect(written).toMatchObject({ kind: 'written', unrecorded: true });
  expect(await readFile(path.join(folder, 'new.dstack.yml'), 'utf8')).toBe('type: task\n');
});

import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { createCatalog } from '../../../../src/dstack/catalog/create-catalog.ts';
import type { Catalog } from '../../../../src/dstack/argv/catalog.ts';
import type { CliIdentity } from '../../../../src/dstack/locate/cli-identity.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';
import { recordedCatalog, recordedPages, settleAtEnd, silentLog } from '../../../support/recorded-catalog.ts';

const pages = recordedPages('0.22.5');
const identity: CliIdentity = { path: '/bin/dstack', realpath: '/bin/dstack', mtimeMs: 1, size: 2, version: '0.22.5' };

let cacheDir: string;
let asked: string[];
beforeEach(() => {
  cacheDir = path.join(emptyFolder(), 'cache');
  asked = [];
});

function open(changes: Partial<CliIdentity> = {}, fail = false): Catalog {
  return settleAtEnd(
    createCatalog({
      source: {
        async read(command, type) {
          const key = type === undefined ? command : `${command} -h ${type}`;
          asked.push(key);
          const text = pages[key];
          if (fail) throw new ToolError('timed-out', 'too slow', '');
          if (text === undefined) throw new ToolError('unknown-command', 'invalid choice', '');
          return { text };
        },
      },
      identity: { ...identity, ...changes },
      cacheDir,
      log: silentLog,
    }),
  );
}

const cacheFile = async (): Promise<string> =>
  path.join(cacheDir, (await readdir(cacheDir)).find((name) => name.endsWith('.json')) ?? '');

/** Reads a page with a separate catalog and waits until it is cached. */
async function readAndKeep(command: string, type?: string): Promise<string> {
  const catalog = open();
  const { text } = await catalog.page(command, type);
  await catalog.settled();
  return text;
}

test('pages are read on demand, one at a time', async () => {
  const catalog = open();
  expect(asked).toEqual([]);
  await catalog.flagsOf('ps');
  expect(asked).toEqual(['ps']);
});

test('concurrent requests read a page once', async () => {
  const catalog = open();
  await Promise.all(Array.from({ length: 20 }, () => catalog.page('ps')));
  expect(asked).toEqual(['ps']);
});

test('the next catalog of the same executable reads from the cache on disk, which only this user can read', async () => {
  await readAndKeep('apply', 'task');
  expect((await stat(await cacheFile())).mode & 0o777).toBe(0o600);
  expect((await stat(cacheDir)).mode & 0o777).toBe(0o700);
  const again = open();
  expect((await again.page('apply', 'task')).text).toBe(pages['apply -h task']);
  expect(asked).toEqual(['apply -h task']);
});

test('prefetched pages are cached on disk: the next catalog requests none of them', async () => {
  const others = { ps: pages['ps'] ?? '', 'apply -h task': pages['apply -h task'] ?? '' };
  const source = { read: () => Promise.resolve({ text: others.ps, others }) };
  const first = settleAtEnd(createCatalog({ source, identity, cacheDir, log: silentLog }));
  await first.page('ps');
  await first.settled();
  expect((await open().page('apply', 'task')).text).toBe(pages['apply -h task']);
  expect(asked).toEqual([]);
});

test.each<[string, Partial<CliIdentity>]>([
  ['version', { version: '0.23.0' }],
  ['modification time', { mtimeMs: 9 }],
  ['size', { size: 9 }],
])('another %s invalidates the cache', async (_what, changes) => {
  await readAndKeep('ps');
  await open(changes).page('ps');
  expect(asked).toEqual(['ps', 'ps']);
});

test.each(['', '{', 'null', '{"format":1}', '{"format":1,"identity":{},"pages":{"ps":"Usage: dstack ps [--evil]"}}'])(
  'a cache that contains %j is rebuilt',
  async (text) => {
    await readAndKeep('ps');
    await writeFile(await cacheFile(), text);
    expect(await readAndKeep('ps')).toBe(pages['ps']);
    expect(await readAndKeep('ps')).toBe(pages['ps']);
    expect(asked).toEqual(['ps', 'ps']);
  },
);

test('a cache that cannot be written only takes time', async () => {
  await writeFile(cacheDir, 'a file where the folder should be');
  const catalog = open();
  expect((await catalog.page('ps')).help.program).toBe('dstack ps');
});

test('no temporary file is left, and pages that arrive together are all cached', async () => {
  await mkdir(cacheDir);
  const catalog = open();
  await Promise.all(['ps', 'logs', 'offer', 'stop', 'fleet'].map((command) => catalog.page(command)));
  await catalog.settled();
  expect(await readdir(cacheDir)).toHaveLength(1);
  expect(Object.keys(JSON.parse(await readFile(await cacheFile(), 'utf8')).pages)).toHaveLength(5);
});

test('a page that could not be read is requested again', async () => {
  const failing = open({}, true);
  await expect(failing.page('ps')).rejects.toMatchObject({ code: 'timed-out' });
  await expect(failing.page('ps')).rejects.toMatchObject({ code: 'timed-out' });
  expect(asked).toEqual(['ps', 'ps']);
});

test('an undocumented command is rejected with a list of documented ones', async () => {
  const error: unknown = await open()
    .page('event')
    .then(() => recordedCatalog('0.19.40').page('event'))
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: 'unknown-command',
    message: expect.stringMatching(/0\.19\.40.*`event`.*documents: apply, attach/),
  });
});

test('words after a command without subcommands are not a command, although argparse prints a page', async () => {
  const lax = createCatalog({
    source: { read: async (command) => ({ text: pages[command.split(' ')[0] ?? ''] ?? '' }) },
    identity,
    cacheDir,
    log: silentLog,
  });
  await expect(lax.page('logs my-run')).rejects.toMatchObject({
    code: 'unknown-command',
    message: expect.stringContaining('no subcommands'),
  });
});

test('an alias returns the page of its command', async () => {
  expect((await open().page('destroy')).help.program).toBe('dstack delete');
});

test('the commands are those of the installed CLI', async () => {
  const names = (await open().commands()).map((command) => command.name);
  expect(names).toContain('event');
  expect((await recordedCatalog('0.19.40').commands()).map((command) => command.name)).not.toContain('event');
});

test('a subcommand inherits only the project flag of its parent', async () => {
  const places = await open().flagsOf('fleet get');
  expect([...places.parent.keys()]).toEqual(['--project']);
  expect(places.own.has('--project')).toBe(false);
  expect((await open().flagsOf('ps')).parent.size).toBe(0);
});

import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import type { Exit, Transcript } from '../../../../src/core/transcript.ts';
import { showCommand } from '../../../../src/dstack/argv/command.ts';
import type { Catalog } from '../../../../src/dstack/argv/command.ts';
import { nearestNames } from '../../../../src/core/values.ts';
import {
  createCatalog,
  createHelpSource,
  createWholeHelpSource,
} from '../../../../src/dstack/catalog/create-catalog.ts';
import { readIdentity } from '../../../../src/dstack/locate/cli-identity.ts';
import type { CliIdentity } from '../../../../src/dstack/locate/cli-identity.ts';
import { recordedCatalog, recordedPages, settleAtEnd, silentLog } from '../../../support/recorded-catalog.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

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

const fallback = {
  read: (command: string, type?: string) =>
    Promise.resolve({ text: `asked dstack for ${command} ${type ?? ''}`.trim() }),
};
const texts = { version: '1', help: { '': 'root', ps: 'ps page', 'apply -h task': 'task page' } };

test('all pages come from one request', async () => {
  let questions = 0;
  const source = createWholeHelpSource({
    helpTexts: () => {
      questions += 1;
      return Promise.resolve(texts);
    },
    fallback,
  });
  expect(await Promise.all([source.read(''), source.read('ps'), source.read('apply', 'task')])).toEqual([
    { text: 'root', others: texts.help },
    { text: 'ps page', others: texts.help },
    { text: 'task page', others: texts.help },
  ]);
  expect(questions).toBe(1);
});

test('a command that is not among them is requested from dstack itself', async () => {
  const source = createWholeHelpSource({ helpTexts: () => Promise.resolve(texts), fallback });
  expect((await source.read('destroy')).text).toBe('asked dstack for destroy');
});

test('if the interpreter does not answer, each page is requested, and the interpreter again the next time', async () => {
  let answer: typeof texts | undefined;
  const source = createWholeHelpSource({ helpTexts: () => Promise.resolve(answer), fallback });
  expect((await source.read('ps')).text).toBe('asked dstack for ps');
  answer = texts;
  expect((await source.read('ps')).text).toBe('ps page');
});

const said = (stdout: string, exit: Exit = { kind: 'exited', code: 0 }, stderr = ''): Transcript => ({
  command: 'dstack x',
  stdout,
  stderr,
  omittedBytes: 0,
  exit,
  durationMs: 1,
  ran: 'plain',
});
const runnerThatSays = (transcript: Transcript) => ({ read: async () => transcript });

test.each([
  ['0.22.5\n', '0.22.5'],
  ['A new version of dstack is available: 0.23.0\n\n0.22.5\n', '0.22.5'],
  ['0.20.0rc1\n', '0.20.0rc1'],
])('the version in %j is %s', async (stdout, version) => {
  const identity = await readIdentity(process.execPath, runnerThatSays(said(stdout)));
  expect(identity).toMatchObject({
    path: process.execPath,
    version,
    size: expect.any(Number),
    mtimeMs: expect.any(Number),
  });
});

test.each<[Transcript, string]>([
  [said('Traceback ...\nImportError: no module', { kind: 'exited', code: 1 }), 'cli-not-understood'],
  [said('hello\n'), 'cli-not-understood'],
  [said('', { kind: 'not-started', reason: 'ENOENT' }), 'cli-not-found'],
  [said('', { kind: 'timed-out', stillRunning: false }), 'timed-out'],
])('a CLI that prints no version is an error: %j', async (transcript, code) => {
  await expect(readIdentity(process.execPath, runnerThatSays(transcript))).rejects.toMatchObject({
    code,
    hint: expect.stringContaining('--version'),
  });
});

test('a CLI without git is reported as needing it', async () => {
  const words =
    'ImportError: Bad git executable.\nThe git executable must be specified\n    export GIT_PYTHON_REFRESH=quiet\n';
  const cli = runnerThatSays(said('', { kind: 'exited', code: 1 }, words));
  await expect(readIdentity(process.execPath, cli)).rejects.toMatchObject({
    code: 'cli-not-understood',
    message: expect.stringContaining('without git'),
    hint: expect.stringMatching(/^Install git/),
  });
});

test('what reads a help page may send nothing: words that aren’t a command would be the arguments of one', async () => {
  const runner = runnerThatSays(said('usage: dstack ps\n'));
  const read = vi.spyOn(runner, 'read');
  await createHelpSource({ runner }).read('apply task');
  expect(read).toHaveBeenCalledWith(
    expect.anything(),
    expect.objectContaining({ wire: { server: null, project: null, handOver: false, asks: false } }),
  );
});

test.each<[Transcript, string]>([
  [said('', { kind: 'exited', code: 2 }, "error: argument: invalid choice: 'x'"), 'unknown-command'],
  [said('', { kind: 'exited', code: 1 }, 'Traceback\nImportError: broken'), 'cli-not-understood'],
  [said('', { kind: 'signalled', signal: 'SIGKILL' }), 'cli-not-understood'],
  [said('', { kind: 'timed-out', stillRunning: false }), 'timed-out'],
  [said('', { kind: 'not-started', reason: 'EACCES' }), 'cli-not-found'],
  [said('', { kind: 'cancelled' }), 'cancelled'],
])('a help page that could not be read is a specific error: %j', async (transcript, code) => {
  const source = createHelpSource({ runner: runnerThatSays(transcript) });
  await expect(source.read('ps')).rejects.toMatchObject({ code });
});

test.each([
  [['ps', '--all'], 'dstack ps --all'],
  [['apply', '--file', 'my task.yml'], "dstack apply --file 'my task.yml'"],
  [['logs', "it's"], String.raw`dstack logs 'it'\''s'`],
  [['offer', '--gpu', '24GB..80GB:A100,H100'], 'dstack offer --gpu 24GB..80GB:A100,H100'],
  [['x', ''], "dstack x ''"],
  [['x', '$(id)', '~', '*'], "dstack x '$(id)' '~' '*'"],
])('%j is shown as %s', (argv, shown) => {
  expect(showCommand(argv)).toBe(shown);
});

test.each([
  ['--lats', ['--last']],
  ['--max-prize', ['--max-price']],
  ['--price', ['--max-price']],
  ['--MAX-PRICE', ['--max-price']],
  ['--psot', ['--spot']],
  ['--completely-different', []],
])('%s most likely means %j', (wanted, near) => {
  expect(nearestNames(wanted, ['--last', '--max-price', '--spot', '--instance', '--region'])).toEqual(near);
});

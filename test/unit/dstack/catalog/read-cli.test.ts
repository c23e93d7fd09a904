import { expect, test } from 'vitest';
import { createHelpSource } from '../../../../src/dstack/catalog/help-source.ts';
import { nearestNames } from '../../../../src/dstack/argv/nearest-names.ts';
import { readIdentity } from '../../../../src/dstack/locate/cli-identity.ts';
import type { Exit, Transcript } from '../../../../src/core/transcript.ts';
import { showCommand } from '../../../../src/dstack/argv/command.ts';

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

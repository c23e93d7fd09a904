import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { CheckedArgv } from '../../../src/dstack/argv/command.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { makeFakeDstack, until } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, consentTo, makeWarmRunner } from '../../support/warm-test-runner.ts';

// What spare processes do on every system: nothing here needs /proc, signals or a shell. CI runs this file on macOS and Windows, too.

const LONG = 60_000;
let ps: CheckedArgv<'read'>;
let apply: CheckedArgv<'change'>;
let fake: FakeDstack;
let runner: WarmRunner;

beforeAll(async () => {
  ps = await checked({ command: 'ps' }, 'read');
  const flags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;
  apply = await checked({ command: 'apply', flags }, 'change');
});
beforeEach(async () => {
  fake = await makeFakeDstack();
  runner = makeWarmRunner({ executable: fake.executable, env: { ...process.env, HOME: fake.folder }, mode: 'spare' });
});
afterEach(async () => {
  await runner.close();
  await fake.remove();
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

test('commands are answered one after the other, and at once', async () => {
  const read = () => runner.read(ps, { timeoutMs: LONG, env: fake.env() });
  const answer = { stdout: 'the answer to ps\n', stderr: '', exit: { kind: 'exited', code: 0 }, ran: 'warm' };
  expect(await read()).toMatchObject(answer);
  expect(await read()).toMatchObject(answer);
  for (const each of await Promise.all([read(), read(), read()])) expect(each).toMatchObject(answer);
  expect(await fake.count('ran')).toBe(5);
});

test('a command gets its folder, variables, input and long output, whatever their letters', async () => {
  const cwd = path.join(fake.folder, 'Jörg Müller 工具');
  await mkdir(cwd);
  const place = await runner.read(ps, { timeoutMs: LONG, cwd, env: fake.env('show_place', { FAKE_WORD: 'wörd' }) });
  expect(place.stdout).toContain(`${path.basename(cwd)} wörd`);
  const input = await runner.read(ps, { timeoutMs: LONG, env: fake.env('echo_input'), answer: 'n' });
  expect(input.stdout.trim()).toBe('n');
  const flood = await runner.read(ps, { timeoutMs: LONG, env: fake.env('flood', { FAKE_PIECES: '48' }) });
  expect(flood.stdout.length).toBe(48 * (16 * 4096 + 1));
});

test('a command reads the pinned bytes, not the file on disk', async () => {
  const file = path.join(fake.folder, 'x.dstack.yml');
  await writeFile(file, 'on the disk');
  const show = await checked({ command: 'apply', flags: { '--file': file } }, 'read');
  const pinnedFile = { path: file, bytes: Buffer.from('approved') };
  const result = await runner.read(show, { timeoutMs: LONG, env: fake.env('read_file'), pinnedFile });
  expect(result).toMatchObject({ stdout: 'approved\n', pinning: 'held' });
});

test('a cancelled read is ended', async () => {
  const abort = new AbortController();
  const running = runner.read(ps, { timeoutMs: LONG, env: fake.env('hang'), signal: abort.signal });
  const { pid } = await fake.noted('hangs');
  abort.abort();
  expect(await running).toMatchObject({ stdout: 'before it hangs\n', exit: { kind: 'cancelled' }, ran: 'warm' });
  await until(() => isGone(pid));
});

test('a change runs once, and finishes after its server has closed', async () => {
  const running = runner.change(apply, consentTo(apply), { timeoutMs: LONG, env: fake.env('wait_for_leave') });
  const { pid } = await fake.noted('waits');
  await runner.close();
  expect(await running).toMatchObject({ exit: { kind: 'timed-out', stillRunning: true }, ran: 'warm' });
  await fake.giveLeave();
  await fake.noted('ended');
  await until(() => isGone(pid));
  expect(await fake.count('done')).toBe(1);
});

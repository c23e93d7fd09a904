import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { checkArgv, hasEffect } from '../../../src/dstack/argv/check-argv.ts';
import type { CheckedArgv, CommandRequest } from '../../../src/dstack/argv/command.ts';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import { createPlainRunner } from '../../../src/dstack/run/process-runner.ts';
import type { PlainRunnerOptions } from '../../../src/dstack/run/process-runner.ts';
import type { OutputSink, Runner } from '../../../src/dstack/run/runner.ts';
import { grantConsent } from '../../../src/safety/consent/consent.ts';
import type { Consent } from '../../../src/safety/consent/consent.ts';
import type { Effect } from '../../../src/core/report.ts';
import { recordedCatalog, silentLog } from '../../support/recorded-catalog.ts';
import { fixture, inRepository } from '../../support/paths.ts';

const executables = fixture('executables');
const launcherPath = inRepository('worker', 'launch_dstack.py');
const catalog = recordedCatalog('0.22.5');
const applyFlags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;

let ps: CheckedArgv<'read'>;
let apply: CheckedArgv<'change'>;
let stop: CheckedArgv<'change'>;
let folder: string;
const runners: Runner[] = [];
const leftovers: number[] = [];

async function checked<E extends Effect>(request: CommandRequest, effect: E): Promise<CheckedArgv<E>> {
  const argv = await checkArgv(request, catalog);
  if (!hasEffect(argv, effect)) throw new Error(`its effect is ${argv.effect}`);
  return argv;
}

beforeAll(async () => {
  ps = await checked({ command: 'ps' }, 'read');
  apply = await checked({ command: 'apply', flags: applyFlags }, 'change');
  stop = await checked({ command: 'stop', flags: { '--yes': true }, positionals: ['my-run'] }, 'change');
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-runner-'));
  return () => rm(folder, { recursive: true });
});

afterEach(async () => {
  await Promise.all(runners.splice(0).map((runner) => runner.close()));
  for (const pid of leftovers.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
});

function runnerOf(name: string, options: Partial<PlainRunnerOptions> = {}): Runner {
  const runner = createPlainRunner({
    executable: { path: path.join(executables, name), tried: [] },
    env: { PATH: process.env['PATH'] },
    launcherPath,
    log: silentLog,
    graceMs: 200,
    ...options,
  });
  runners.push(runner);
  return runner;
}

const consentTo = (argv: CheckedArgv): Consent => grantConsent({ level: 'token', argv: argv.argv });

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Returns whether a process is gone or a zombie, as orphans stay in a container without an init. */
async function isEnded(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return true;
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return / Z /.test(status);
}

const LONG = { timeoutMs: 30_000 };
/** A deadline that passes only after the command has started and printed, even on a busy machine. */
const SHORT = { timeoutMs: 3_000 };

/** Creates a sink with a promise for the first output: then the command runs. */
function firstOutput(): { readonly sink: OutputSink; readonly printed: Promise<void> } {
  const sink = { write: vi.fn<(chunk: Uint8Array) => void>(), reset: () => undefined };
  return { sink, printed: vi.waitFor(() => expect(sink.write).toHaveBeenCalled(), LONG.timeoutMs) };
}

test('a transcript contains the output, the exit and the command as a user would type it', async () => {
  const transcript = await runnerOf('fail.mjs').read(ps, LONG);
  expect(transcript).toMatchObject({
    command: 'dstack ps',
    stdout: 'Run x not found\n',
    stderr: 'and why\n',
    omittedBytes: 0,
    exit: { kind: 'exited', code: 1 },
    ran: 'plain',
  });
});

test('dstack gets a clean, wide environment without color, an empty standard input and the argv', async () => {
  const env = {
    PATH: process.env['PATH'],
    HF_TOKEN: 'kept',
    FORCE_COLOR: '1',
    COLUMNS: '80',
    _ARGCOMPLETE: '1',
    DSTACK_MCP_CLI: 'x',
    LANG: 'C',
  };
  const { stdout } = await runnerOf('echo.mjs', { env }).read(ps, { ...LONG, cwd: folder, env: { EXTRA: 'yes' } });
  const received: { argv: string[]; env: Record<string, string>; cwd: string; input: string } = JSON.parse(stdout);
  expect(received.argv).toEqual(['ps']);
  expect(received.input).toBe('');
  expect(received.cwd).toBe(folder);
  expect(received.env).toMatchObject({
    HF_TOKEN: 'kept',
    EXTRA: 'yes',
    COLUMNS: '1000',
    NO_COLOR: '1',
    TERM: 'dumb',
    LANG: 'C',
  });
  for (const name of ['FORCE_COLOR', '_ARGCOMPLETE', 'DSTACK_MCP_CLI']) expect(received.env).not.toHaveProperty(name);
});

test('only n is ever written to dstack', async () => {
  const { stdout } = await runnerOf('echo.mjs').read(ps, { ...LONG, answer: 'n' });
  expect(JSON.parse(stdout)).toMatchObject({ input: 'n\n' });
});

test('a command that hangs is ended at its deadline, with all its processes', async () => {
  const { exit, stdout } = await runnerOf('hang.mjs').read(ps, SHORT);
  expect(exit).toEqual({ kind: 'timed-out', stillRunning: false });
  expect(isAlive(Number(stdout))).toBe(false);
});

test('a command that ignores SIGTERM is killed', async () => {
  const { exit, stdout } = await runnerOf('ignore-sigterm.mjs', { graceMs: 1_000 }).read(ps, SHORT);
  expect(exit).toEqual({ kind: 'timed-out', stillRunning: false });
  expect(stdout).toMatch(/^\d+\nnot yet\n$/);
  expect(isAlive(Number.parseInt(stdout, 10))).toBe(false);
});

test('cancelling a call ends its command', async () => {
  const cancel = new AbortController();
  const { sink, printed } = firstOutput();
  const running = runnerOf('hang.mjs').read(ps, { ...LONG, sink, signal: cancel.signal });
  await printed;
  cancel.abort();
  expect((await running).exit).toEqual({ kind: 'cancelled' });
});

test('a call that was canceled before it began starts nothing', async () => {
  // Starting it would be reported as a failure to start.
  const { exit } = await runnerOf('missing.mjs').read(ps, { ...LONG, signal: AbortSignal.abort() });
  expect(exit).toEqual({ kind: 'cancelled' });
});

test('death by a signal is distinguished from an exit, and keeps the output', async () => {
  const { exit, stdout } = await runnerOf('die-by-signal.mjs').read(ps, LONG);
  expect(exit).toEqual({ kind: 'signalled', signal: 'SIGKILL' });
  expect(stdout).toBe('last words\n');
});

test('excess output is cut in the middle, between characters, and the missing bytes are counted', async () => {
  const { stdout, omittedBytes } = await runnerOf('flood.mjs', { keepBytes: 10_000 }).read(ps, LONG);
  const whole = 80_000 * (9 + 90 + 1);
  const [head = '', tail = ''] = stdout.split(`\n[... ${omittedBytes} bytes left out here ...]\n`);
  expect(head).toMatch(/^00000000 €/);
  expect(tail).toMatch(/00079999 €+\n$/);
  expect(stdout).not.toContain('\ufffd');
  expect(Buffer.byteLength(head) + Buffer.byteLength(tail) + omittedBytes).toBe(whole);
  expect(Buffer.byteLength(stdout)).toBeLessThan(10_100);
});

test('binary output is made readable, and a character that arrives in two parts stays whole', async () => {
  const { stdout } = await runnerOf('binary.mjs').read(ps, LONG);
  expect(stdout).toBe('\ufffd\ufffdA€\n');
});

test('a child that dstack leaves behind neither delays the call nor survives it', async () => {
  const { exit, stdout } = await runnerOf('leave-grandchild.mjs').read(ps, LONG);
  expect(exit).toEqual({ kind: 'exited', code: 0 });
  await vi.waitUntil(() => isEnded(Number(stdout)), 10_000);
});

test('a child that left the group is not ended with it, but does not delay the call', async () => {
  const { exit, stdout } = await runnerOf('leave-daemon.mjs').read(ps, LONG);
  leftovers.push(Number(stdout));
  expect(exit).toEqual({ kind: 'exited', code: 0 });
}, 30_000);

test('an executable that cannot be started is reported as not started', async () => {
  const { exit } = await runnerOf('missing.mjs').read(ps, LONG);
  expect(exit).toMatchObject({ kind: 'not-started', reason: expect.stringContaining('ENOENT') });
});

test('concurrency is limited, and all commands finish', async () => {
  const counting = await mkdtemp(path.join(folder, 'count-'));
  const runner = runnerOf('count-running.mjs', { maxConcurrent: 2 });
  const all = await Promise.all(
    Array.from({ length: 8 }, () => runner.read(ps, { ...LONG, env: { FOLDER: counting } })),
  );
  const seen = all.map(({ stdout }) => Number(stdout));
  expect(Math.max(...seen)).toBe(2);
  expect(seen.every((count) => count >= 1)).toBe(true);
});

test('a full queue rejects at once, and waiting in the queue counts toward the deadline', async () => {
  const runner = runnerOf('hang.mjs', { maxConcurrent: 1, maxQueued: 1 });
  const running = runner.read(ps, { timeoutMs: 3_000 });
  const waiting = runner.read(ps, { timeoutMs: 300 });
  await expect(runner.read(ps, LONG)).rejects.toMatchObject({ code: 'busy' });
  // At its own deadline, not when the other one frees its slot.
  await expect(Promise.race([running, waiting])).resolves.toMatchObject({ exit: { kind: 'not-started' } });
  expect((await waiting).exit).toMatchObject({ kind: 'not-started' });
  expect((await running).exit).toMatchObject({ kind: 'timed-out' });
});

test('close ends running commands and settles waiting ones', async () => {
  const runner = runnerOf('hang.mjs', { maxConcurrent: 1 });
  const { sink, printed } = firstOutput();
  const running = runner.read(ps, { ...LONG, sink });
  const waiting = runner.read(ps, LONG);
  await printed;
  await runner.close();
  expect((await running).exit).toEqual({ kind: 'cancelled' });
  expect(isAlive(Number((await running).stdout))).toBe(false);
  expect((await waiting).exit).toMatchObject({ kind: 'not-started' });
  expect((await runner.read(ps, LONG)).exit).toMatchObject({ kind: 'not-started' });
});

test('close kills a read at once, even if it ignores SIGTERM', async () => {
  const runner = runnerOf('ignore-sigterm.mjs', { graceMs: 600_000 });
  const { sink, printed } = firstOutput();
  const running = runner.read(ps, { ...LONG, sink });
  await printed;
  await runner.close();
  expect((await running).exit).toEqual({ kind: 'cancelled' });
});

test('an unchecked argv is never run', async () => {
  const forged: CheckedArgv<'read'> = { ...ps };
  await expect(runnerOf('echo.mjs').read(forged, LONG)).rejects.toThrow(TypeError);
});

test('a change is not accepted as a read', async () => {
  const runner = runnerOf('echo.mjs');
  const disguised: Promise<unknown> = Reflect.apply(runner.read.bind(runner), undefined, [stop, LONG]);
  await expect(disguised).rejects.toThrow(TypeError);
});

test('a change runs once per consent, and not without one or with one for another argv', async () => {
  const marker = path.join(folder, 'ran');
  const runner = runnerOf('slow-change.mjs');
  const options = { ...LONG, env: { GO: executables, FINISHED: marker } };
  const consent = consentTo(stop);
  const forged: Consent = JSON.parse(JSON.stringify(consent));
  await expect(runner.change(stop, forged, options)).rejects.toMatchObject({ code: 'consent-missing' });
  await expect(runner.change(stop, consentTo(apply), options)).rejects.toMatchObject({ code: 'consent-missing' });
  expect(existsSync(marker)).toBe(false);
  expect((await runner.change(stop, consent, options)).exit).toEqual({ kind: 'exited', code: 0 });
  expect(existsSync(marker)).toBe(true);
  await expect(runner.change(stop, consent, options)).rejects.toMatchObject({ code: 'consent-missing' });
});

test('an apply past its deadline continues in the background, even if the runner is closed', async () => {
  const [go, finished] = [path.join(folder, 'go'), path.join(folder, 'finished')];
  const runner = runnerOf('slow-change.mjs');
  const { exit, stdout } = await runner.change(apply, consentTo(apply), {
    ...SHORT,
    env: { GO: go, FINISHED: finished },
  });
  leftovers.push(Number(stdout.split(' ')[1]));
  expect(exit).toEqual({ kind: 'timed-out', stillRunning: true });
  await runner.close();
  await writeFile(go, '');
  await vi.waitUntil(() => existsSync(finished), 10_000);
});

test('a change in the background that is not a Python script is ended by this process at its limit', async () => {
  const runner = runnerOf('slow-change.mjs', { changeLimitMs: 1 });
  const { stdout } = await runner.change(apply, consentTo(apply), {
    ...SHORT,
    env: { GO: path.join(folder, 'never') },
  });
  await vi.waitUntil(() => isEnded(Number(stdout.split(' ')[1])), 20_000);
  expect(await isEnded(Number(stdout.split(' ')[1]))).toBe(true);
});

test.each(['apply', 'stop'])('closing the runner leaves a running %s running', async (command) => {
  const fileOf = (event: string): string => path.join(folder, `${event}-${command}`);
  const [go, finished, started] = [fileOf('go'), fileOf('finished'), fileOf('started')];
  const argv = command === 'apply' ? apply : stop;
  const runner = runnerOf('slow-change.mjs');
  const running = runner.change(argv, consentTo(argv), {
    ...LONG,
    env: { STARTED: started, GO: go, FINISHED: finished },
  });
  await vi.waitUntil(() => existsSync(started), 10_000);
  await runner.close();
  expect((await running).exit).toEqual({ kind: 'timed-out', stillRunning: true });
  await writeFile(go, '');
  await vi.waitUntil(() => existsSync(finished), 10_000);
});

test('another change past its deadline is ended', async () => {
  const { exit } = await runnerOf('hang.mjs').change(stop, consentTo(stop), SHORT);
  expect(exit).toEqual({ kind: 'timed-out', stillRunning: false });
});

test('an entry script reads the approved bytes, not the current content of the file', async () => {
  const file = path.join(folder, 'x.dstack.yml');
  await writeFile(file, 'what somebody else wrote');
  const executable = await findExecutable({
    configured: path.join(executables, 'read-file.py'),
    env: process.env,
    homeDir: folder,
  });
  const runner = runnerOf('', { executable });
  const pinnedFile = { path: 'x.dstack.yml', bytes: Buffer.from('what was approved: é\n') };
  const plan = await checked({ command: 'apply', flags: { '--file': 'x.dstack.yml' } }, 'read');
  const read = await runner.read(plan, { ...LONG, cwd: folder, answer: 'n', pinnedFile });
  expect(read).toMatchObject({
    stdout: 'what was approved: é\n',
    stderr: '',
    exit: { kind: 'exited', code: 0 },
    pinning: 'held',
  });
  const changed = await runner.change(apply, consentTo(apply), { ...LONG, cwd: folder, pinnedFile });
  expect(changed).toMatchObject({
    stdout: 'what was approved: é\n',
    exit: { kind: 'exited', code: 0 },
    pinning: 'held',
  });
});

test('an executable that is not a Python script is not started on an approved file, whatever its content is', async () => {
  const file = path.join(folder, 'y.dstack.yml');
  await writeFile(file, 'approved');
  const runner = runnerOf('echo.mjs');
  const options = { ...LONG, cwd: folder, pinnedFile: { path: file, bytes: Buffer.from('approved') } };
  const notStarted = { kind: 'not-started', reason: expect.stringContaining('approved content') };
  expect((await runner.change(apply, consentTo(apply), options)).exit).toMatchObject(notStarted);
  const plan = await checked({ command: 'apply', flags: { '--file': 'y.dstack.yml' } }, 'read');
  expect((await runner.read(plan, { ...options, answer: 'n' })).exit).toMatchObject(notStarted);
});

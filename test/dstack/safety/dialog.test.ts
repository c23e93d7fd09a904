import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createDialog, desktopEnv } from '../../../src/safety/dialog/dialog.ts';
import type { DialogAnswer } from '../../../src/safety/dialog/dialog-commands.ts';
import type { Dialog } from '../../../src/safety/dialog/dialog.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'dialog-'));
afterAll(() => rmSync(folder, { recursive: true }));

const signal = (): AbortSignal => new AbortController().signal;

test('a disabled dialog is unavailable and says why', async () => {
  const dialog = createDialog({ setting: 'off' });
  expect(dialog.availability()).toEqual({ kind: 'unavailable', why: 'dialogs are disabled' });
  expect(await dialog.ask({ message: 'x', field: 'approve', timeoutMs: 1_000 }, signal())).toMatchObject({
    kind: 'unavailable',
  });
});

test('a program is started with whatever time is left, and its end is the answer', async () => {
  const file = path.join(folder, 'zenity');
  writeFileSync(file, `#!/bin/sh\nprintf '%s\\n' "$@" > '${folder}/asked'\nexit 1\n`, { mode: 0o755 });
  const search = () => ({ kind: 'available' as const, tool: 'zenity' as const, file });
  const dialog = createDialog({ setting: 'auto', env: {}, search });
  const question = { message: 'Create it?', field: 'approve' as const, timeoutMs: 599_999.123 };
  expect(await dialog.ask(question, signal())).toEqual({ kind: 'declined' });
  expect(readFileSync(path.join(folder, 'asked'), 'utf8')).toContain('--text=Create it?\n');
});

const missing = ['zenity', 'xdotool', 'Xvfb'].filter((program) => {
  try {
    accessSync(path.join('/usr/bin', program), constants.X_OK);
    return false;
  } catch {
    return true;
  }
});
if (missing.length > 0)
  console.warn(
    `Dialogs are not tested on a real display: ${missing.join(', ')} is not installed (apt-get install zenity xdotool xvfb).`,
  );

describe.skipIf(missing.length > 0)('on a real display', () => {
  let server: ChildProcess;
  let env: Record<string, string>;
  let dialog: Dialog;
  const openAsks: AbortController[] = [];

  beforeAll(async () => {
    // The X server finds a free display itself and writes its number to descriptor 3. Without -noreset it restarts when its last
    // window closes, and a dialog that opens at that moment is lost.
    server = spawn(
      '/usr/bin/Xvfb',
      ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp', '-noreset'],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      },
    );
    const pipe = server.stdio[3];
    if (pipe === null || pipe === undefined) throw new Error('no pipe');
    const [chunk]: unknown[] = await once(pipe, 'data');
    env = { PATH: '/usr/bin:/bin', HOME: folder, DISPLAY: `:${String(chunk).trim()}` };
    dialog = createDialog({ setting: 'auto', platform: 'linux', env });
  });
  afterEach(() => {
    for (const ask of openAsks.splice(0)) ask.abort();
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  });

  const xdotool = (...args: string[]): string =>
    execFileSync('/usr/bin/xdotool', args, {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    });

  const windows = (): string[] => {
    try {
      return xdotool('search', '--onlyvisible', '--name', '^dstack: your approval').trim().split('\n');
    } catch {
      // xdotool ends with 1 where there is none.
      return [];
    }
  };

  async function windowOf(): Promise<string> {
    for (;;) {
      const [id] = windows();
      if (id !== undefined && id !== '') return id;
      // X has no event that a test without a window could wait for.
      await delay(50);
    }
  }

  function ask(
    field: 'approve' | 'name',
    timeoutMs = 60_000,
  ): { answer: Promise<DialogAnswer>; abort: AbortController } {
    const abort = new AbortController();
    openAsks.push(abort);
    return {
      answer: dialog.ask(
        { message: 'Submit the run train\n\nProject: main\nPrice: $1.00/h, no limit in total', field, timeoutMs },
        abort.signal,
      ),
      abort,
    };
  }

  /** Does something to the dialog until it is answered: it may be on the screen before it takes keys or clicks. */
  async function answerBy(answer: Promise<DialogAnswer>, act: (id: string) => string[]): Promise<DialogAnswer> {
    for (;;) {
      const id = await windowOf();
      try {
        xdotool('windowfocus', '--sync', id, ...act(id));
      } catch {
        // It closed in between.
      }
      const answered = await Promise.race([answer, delay(1_500, undefined)]);
      if (answered !== undefined) return answered;
    }
  }

  const press = (answer: Promise<DialogAnswer>, ...keys: string[]): Promise<DialogAnswer> =>
    answerBy(answer, () => ['key', '--clearmodifiers', ...keys]);

  /** Clicks on Approve, the button in the lower right corner. */
  const clickApprove = (answer: Promise<DialogAnswer>): Promise<DialogAnswer> =>
    answerBy(answer, (id) => {
      const geometry = xdotool('getwindowgeometry', '--shell', id);
      const [width, height] = ['WIDTH', 'HEIGHT'].map((name) =>
        Number(new RegExp(`${name}=(\\d+)`).exec(geometry)?.[1]),
      );
      const button = [String((width ?? 0) - 50), String((height ?? 0) - 25)];
      return ['mousemove', '--window', id, '5', '5', 'mousemove', '--window', id, ...button, 'click', '1'];
    });

  test('it is available with a display', () => {
    expect(dialog.availability()).toMatchObject({ kind: 'available', tool: 'zenity' });
  });

  test('Enter alone declines: Decline is the default button', async () => {
    const { answer } = ask('approve');
    expect(await press(answer, 'Return')).toEqual({ kind: 'declined' });
  });

  test('Escape declines', async () => {
    const { answer } = ask('approve');
    expect(await press(answer, 'Escape')).toEqual({ kind: 'declined' });
  });

  test('a click on Approve approves', async () => {
    const { answer } = ask('approve');
    expect(await clickApprove(answer)).toEqual({ kind: 'approved' });
  });

  test('a typed name is returned unchanged', async () => {
    const { answer } = ask('name');
    expect(await press(answer, 'ctrl+a', 't', 'r', 'a', 'i', 'n', 'Return')).toEqual({ kind: 'typed', name: 'train' });
  });

  test('Enter in an empty field is an empty name, and Escape declines', async () => {
    const first = ask('name');
    expect(await press(first.answer, 'Return')).toEqual({ kind: 'typed', name: '' });
    const second = ask('name');
    expect(await press(second.answer, 'Escape')).toEqual({ kind: 'declined' });
  });

  test('a dialog without an answer closes automatically', async () => {
    expect(await ask('approve', 1_000).answer).toEqual({ kind: 'timed-out' });
  });

  test('an aborted dialog closes immediately and leaves no window', async () => {
    const { answer, abort } = ask('approve');
    await windowOf();
    abort.abort();
    expect(await answer).toEqual({ kind: 'timed-out' });
    while (windows().some((id) => id !== '')) await delay(50);
    expect(windows().filter((id) => id !== '')).toEqual([]);
  });

  test('one dialog is open at a time: the second one waits', async () => {
    const [first, second] = [ask('approve'), ask('approve')];
    await windowOf();
    expect(windows()).toHaveLength(1);
    expect(await press(first.answer, 'Escape')).toEqual({ kind: 'declined' });
    expect(await clickApprove(second.answer)).toEqual({ kind: 'approved' });
  });

  test('a dialog that was aborted before its turn is never shown', async () => {
    const [first, second] = [ask('approve'), ask('approve')];
    second.abort.abort();
    expect(await press(first.answer, 'Escape')).toEqual({ kind: 'declined' });
    expect(await second.answer).toEqual({ kind: 'timed-out' });
  });

  test('a missing display does not count as an answer', async () => {
    const gone = createDialog({ setting: 'auto', platform: 'linux', env: { ...env, DISPLAY: ':9999' } });
    expect(await gone.ask({ message: 'x', field: 'approve', timeoutMs: 5_000 }, signal())).toMatchObject({
      kind: 'unavailable',
      why: expect.stringMatching(/display/),
    });
  });
});

test('the program receives the variables of the desktop, but none of the secrets', () => {
  const env = {
    DISPLAY: ':0',
    HOME: folder,
    DSTACK_TOKEN: 'secret-token',
    HF_TOKEN: 'secret-token',
    LD_PRELOAD: 'x.so',
    GTK_MODULES: 'x',
  };
  expect(desktopEnv(env)).toEqual({ DISPLAY: ':0', HOME: folder });
});

import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findDialog } from '../../../../src/safety/dialog/find-dialog.ts';
import type { FoundDialog } from '../../../../src/safety/dialog/find-dialog.ts';

test.each<[string, NodeJS.Platform, Record<string, string>, string[], Partial<FoundDialog>]>([
  [
    'no desktop',
    'linux',
    { PATH: '/usr/bin' },
    ['/usr/bin/zenity'],
    { kind: 'unavailable', why: expect.stringContaining('no desktop') },
  ],
  ['an empty display', 'linux', { DISPLAY: '' }, ['/usr/bin/zenity'], { kind: 'unavailable' }],
  ['X', 'linux', { DISPLAY: ':0' }, ['/usr/bin/zenity'], { tool: 'zenity', file: '/usr/bin/zenity' }],
  [
    'Wayland',
    'linux',
    { WAYLAND_DISPLAY: 'wayland-0' },
    ['/usr/bin/kdialog'],
    { tool: 'kdialog', file: '/usr/bin/kdialog' },
  ],
  ['both', 'linux', { DISPLAY: ':0' }, ['/usr/bin/kdialog', '/usr/bin/zenity'], { tool: 'zenity' }],
  [
    'a program elsewhere on PATH',
    'linux',
    { DISPLAY: ':0', PATH: '/opt/bin:/run/sw/bin' },
    ['/run/sw/bin/zenity'],
    { file: '/run/sw/bin/zenity' },
  ],
  [
    'a fake program before the real one',
    'linux',
    { DISPLAY: ':0', PATH: '/home/u/ws' },
    ['/home/u/ws/zenity', '/usr/bin/zenity'],
    { file: '/usr/bin/zenity' },
  ],
  [
    'a program in a relative folder of PATH',
    'linux',
    { DISPLAY: ':0', PATH: '.:bin' },
    ['zenity', 'bin/zenity', './zenity'],
    { kind: 'unavailable' },
  ],
  [
    'no program',
    'linux',
    { DISPLAY: ':0' },
    [],
    { kind: 'unavailable', why: expect.stringContaining('neither zenity nor kdialog') },
  ],
  ['macOS', 'darwin', {}, ['/usr/bin/osascript'], { tool: 'osascript', file: '/usr/bin/osascript' }],
  [
    'macOS over SSH',
    'darwin',
    { SSH_CONNECTION: '1 2 3 4' },
    ['/usr/bin/osascript'],
    { kind: 'unavailable', why: expect.stringContaining('SSH') },
  ],
  [
    'Windows',
    'win32',
    { SystemRoot: 'D:\\Windows' },
    ['D:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'],
    { tool: 'powershell' },
  ],
  [
    'Windows over SSH',
    'win32',
    { SSH_CONNECTION: '1 2 3 4' },
    ['C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'],
    { kind: 'unavailable' },
  ],
  ['Windows without PowerShell', 'win32', {}, [], { kind: 'unavailable' }],
])('%s', (_what, platform, env, files, expected) => {
  expect(findDialog({ platform, env, isExecutable: (file) => files.includes(file) })).toMatchObject(expected);
});

test('the found program, or the reason why there is none', () => {
  const none = { isExecutable: () => false };
  const all = { isExecutable: () => true };
  expect(findDialog({ platform: 'darwin', env: {}, ...all })).toEqual({
    kind: 'available',
    tool: 'osascript',
    file: '/usr/bin/osascript',
  });
  expect(findDialog({ platform: 'darwin', env: {}, ...none })).toEqual({
    kind: 'unavailable',
    why: '/usr/bin/osascript is missing',
  });
  expect(findDialog({ platform: 'win32', env: {}, ...all })).toEqual({
    kind: 'available',
    tool: 'powershell',
    file: 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe',
  });
  expect(findDialog({ platform: 'linux', env: { DISPLAY: ':0' }, ...all })).toEqual({
    kind: 'available',
    tool: 'zenity',
    file: '/usr/bin/zenity',
  });
  const looked: string[] = [];
  const env = { DISPLAY: ':0' };
  findDialog({ platform: 'linux', env, isExecutable: (file) => looked.push(file) === 0 });
  expect(looked).toEqual(
    ['zenity', 'kdialog'].flatMap((tool) =>
      ['/usr/bin', '/bin', '/usr/local/bin'].map((folder) => `${folder}/${tool}`),
    ),
  );
});

test('only executable files are found', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'find-dialog-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const system = ['/usr/bin', '/bin', '/usr/local/bin'].some((place) => existsSync(path.join(place, 'kdialog')));
  const file = path.join(folder, 'kdialog');
  const env = { DISPLAY: ':0', PATH: folder };
  const isHere = (): boolean => {
    const found = findDialog({ platform: 'linux', env });
    return found.kind === 'available' && found.file === file;
  };
  await writeFile(file, '', { mode: 0o644 });
  expect(isHere()).toBe(false);
  await chmod(file, 0o755);
  // A program in the system folders takes precedence.
  const own = ['/usr/bin', '/bin', '/usr/local/bin'].some((place) => existsSync(path.join(place, 'zenity')));
  expect(isHere()).toBe(!system && !own);
});

import { expect, test } from 'vitest';
import { findDialog } from '../../src/safety/find-dialog.ts';
import type { FoundDialog } from '../../src/safety/find-dialog.ts';

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
    'one elsewhere on PATH',
    'linux',
    { DISPLAY: ':0', PATH: '/opt/bin:/run/sw/bin' },
    ['/run/sw/bin/zenity'],
    { file: '/run/sw/bin/zenity' },
  ],
  [
    'a false one before the real one',
    'linux',
    { DISPLAY: ':0', PATH: '/home/u/ws' },
    ['/home/u/ws/zenity', '/usr/bin/zenity'],
    { file: '/usr/bin/zenity' },
  ],
  [
    'one in a relative folder of PATH',
    'linux',
    { DISPLAY: ':0', PATH: '.:bin' },
    ['zenity', 'bin/zenity', './zenity'],
    { kind: 'unavailable' },
  ],
  [
    'none',
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

import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { buildDialog, findDialog } from '../../../../src/safety/dialog/dialog-commands.ts';
import type {
  DialogAnswer,
  DialogRequest,
  DialogTool,
  FoundDialog,
} from '../../../../src/safety/dialog/dialog-commands.ts';

const EVIL = [
  `"; do shell script "touch /tmp/x"; "`,
  `' ; Remove-Item C:\\ -Recurse ; '`,
  '$(touch x) `touch x` %PATH% ${HOME}',
  '--text=other --timeout=0 -h',
  '<b>free</b> &amp; <span>x</span>',
  'line\nline\\nline\r\n_underlined',
  'ünïcödé 训练 👍',
];
const request = (message: string, field: DialogRequest['field'] = 'approve'): DialogRequest => ({
  message,
  field,
  timeoutMs: 90_500,
});

test.each<DialogTool>(['osascript', 'powershell'])('the script for %s does not depend on the message', (tool) => {
  for (const field of ['approve', 'name'] as const) {
    const scripts = ['harmless', ...EVIL].map((message) => {
      const { args } = buildDialog(tool, request(message, field));
      return tool === 'osascript' ? args.slice(0, -3) : args;
    });
    expect(new Set(scripts.map((script) => JSON.stringify(script))).size).toBe(1);
  }
});

test('osascript receives the message, the title and the time limit as arguments after the script', () => {
  const { args, stdin } = buildDialog('osascript', request('-e nonsense'));
  const [text, title, seconds] = args.slice(-3);
  expect(text).toBe('Approve?\n\n-e nonsense');
  expect(title).toContain('approval');
  expect(seconds).toBe('91');
  expect(args.slice(0, -3).every((word, index) => index % 2 === 1 || word === '-e')).toBe(true);
  expect(args.join('\n')).toContain('default button "Decline" cancel button "Decline"');
  expect(stdin).toBe('');
});

test('PowerShell receives the message as ASCII JSON on standard input, and a script without double quotes', () => {
  for (const message of EVIL) {
    const { args, stdin } = buildDialog('powershell', request(message, 'name'));
    expect(stdin).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(stdin)).toMatchObject({ message: message.replaceAll('\n', '\r\n'), field: 'name' });
    expect(args.join(' ')).not.toContain('"');
    expect(args.slice(0, 4)).toEqual(['-NoLogo', '-NoProfile', '-NonInteractive', '-STA']);
    expect(args.join(' ')).toContain('$form.AcceptButton = $decline');
  }
});

test.each<DialogTool>(['zenity', 'kdialog'])(
  'the message for %s is a single argument that cannot be mistaken for another',
  (tool) => {
    for (const field of ['approve', 'name'] as const) {
      const shape = (message: string): string[] =>
        buildDialog(tool, request(message, field)).args.map((word) =>
          word.startsWith('--text=') || word.startsWith('Approve?') ? 'TEXT' : word,
        );
      for (const message of EVIL) expect(shape(message)).toEqual(shape('harmless'));
      expect(shape('harmless').filter((word) => word === 'TEXT')).toHaveLength(1);
    }
  },
);

test('zenity declines by default and shows the message without markup', () => {
  const { args } = buildDialog('zenity', request('<b>x</b> a_b c\\nd'));
  expect(args).toEqual(
    expect.arrayContaining([
      '--question',
      '--no-markup',
      '--default-cancel',
      '--cancel-label=Decline',
      '--timeout=91',
      '--text=<b>x</b> a_b c\\nd',
    ]),
  );
  const entry = buildDialog('zenity', request('a_b c\\nd', 'name')).args;
  expect(entry).toEqual(expect.arrayContaining(['--entry', '--text=a__b c⧵nd']));
});

test('kdialog receives no text that Qt could interpret as HTML or escapes', () => {
  const { args } = buildDialog('kdialog', request('<b>x</b> &amp; c\\nd'));
  expect(args).toContain('--warningyesno');
  expect(args.at(-1)).toBe('Approve?\n\n‹b›x‹/b› +amp; c⧵nd');
});

test.each<[DialogTool, DialogRequest['field'], number | null, string, string, DialogAnswer['kind']]>([
  ['zenity', 'approve', 0, '', '', 'approved'],
  ['zenity', 'approve', 1, '', '', 'declined'],
  ['zenity', 'approve', 1, '', 'Gtk-WARNING: cannot open display: :9', 'unavailable'],
  ['zenity', 'approve', 5, '', '', 'timed-out'],
  ['zenity', 'approve', null, '', '', 'timed-out'],
  ['zenity', 'approve', 255, '', 'broken', 'unavailable'],
  ['zenity', 'approve', 127, '', '', 'unavailable'],
  ['zenity', 'name', 0, 'train\n', '', 'typed'],
  ['zenity', 'name', 1, 'train\n', '', 'declined'],
  ['zenity', 'name', 5, '', '', 'timed-out'],
  ['kdialog', 'approve', 0, '', '', 'approved'],
  ['kdialog', 'approve', 1, '', '', 'declined'],
  ['kdialog', 'approve', 2, '', '', 'declined'],
  ['kdialog', 'approve', null, '', '', 'timed-out'],
  ['kdialog', 'approve', 254, '', 'no platform plugin', 'unavailable'],
  ['kdialog', 'name', 0, 'train\n', '', 'typed'],
  ['kdialog', 'name', 1, '', '', 'declined'],
  ['osascript', 'approve', 0, 'approved\n', '', 'approved'],
  ['osascript', 'approve', 0, 'declined\n', '', 'declined'],
  ['osascript', 'approve', 0, 'timed-out\n', '', 'timed-out'],
  ['osascript', 'approve', 0, '', '', 'declined'],
  ['osascript', 'approve', 0, 'typed:train\n', '', 'declined'],
  ['osascript', 'approve', 1, '', 'execution error: User canceled. (-128)', 'declined'],
  ['osascript', 'approve', 1, '', 'execution error: No user interaction allowed. (-1713)', 'unavailable'],
  ['osascript', 'name', 0, 'typed:train\n', '', 'typed'],
  ['osascript', 'name', 0, 'approved\n', '', 'declined'],
  ['powershell', 'approve', 0, 'approved\r\n', '', 'approved'],
  ['powershell', 'approve', 0, 'declined\r\n', '', 'declined'],
  ['powershell', 'approve', 1, '', 'Add-Type : Cannot find', 'unavailable'],
  ['powershell', 'approve', null, '', '', 'timed-out'],
  ['powershell', 'name', 0, 'typed:train\r\n', '', 'typed'],
  ['powershell', 'name', 0, 'typed:\r\n', '', 'typed'],
])('a %s dialog (%s) that exits with %s and prints %j (%j) means %s', (tool, field, code, stdout, stderr, kind) => {
  expect(buildDialog(tool, request('x', field)).read({ code, stdout, stderr }).kind).toBe(kind);
});

test.each<[DialogTool, string, string]>([
  ['zenity', 'train\n', 'train'],
  ['kdialog', '\n', ''],
  ['osascript', 'typed:train\n', 'train'],
  ['powershell', 'typed:typed:x\r\n', 'typed:x'],
])('%s returns the name as it was typed', (tool, stdout, name) => {
  expect(buildDialog(tool, request('x', 'name')).read({ code: 0, stdout, stderr: '' })).toEqual({
    kind: 'typed',
    name,
  });
});

test('the complete commands, for an approval and for a name', () => {
  expect(buildDialog('zenity', request('Submit it', 'approve'))).toMatchObject({
    args: [
      '--question',
      '--no-markup',
      '--default-cancel',
      '--icon-name=dialog-warning',
      '--text=Submit it',
      '--title=dstack: your approval is needed',
      '--ok-label=Approve',
      '--cancel-label=Decline',
      '--width=480',
      '--timeout=91',
    ],
    stdin: '',
  });
  expect(buildDialog('zenity', request('Stop my_run\\', 'name'))).toMatchObject({
    args: [
      '--entry',
      '--text=Stop my__run\u29f5',
      '--title=dstack: your approval is needed',
      '--ok-label=Approve',
      '--cancel-label=Decline',
      '--width=480',
      '--timeout=91',
    ],
    stdin: '',
  });
  expect(buildDialog('kdialog', request('Submit <it>\\ & go', 'approve'))).toMatchObject({
    args: [
      '--title',
      'dstack: your approval is needed',
      '--yes-label',
      'Approve',
      '--no-label',
      'Decline',
      '--warningyesno',
      'Approve?\n\nSubmit \u2039it\u203a\u29f5 + go',
    ],
    stdin: '',
  });
  expect(buildDialog('kdialog', request('Stop it', 'name'))).toMatchObject({
    args: ['--title', 'dstack: your approval is needed', '--inputbox', 'Approve?\n\nStop it'],
    stdin: '',
  });
  const ending = (field: DialogRequest['field']): readonly string[] =>
    buildDialog('osascript', request('It', field)).args;
  const lines = (answer: string, last: string): string[] => [
    'on run argv',
    `set shown to display dialog (item 1 of argv) with title (item 2 of argv)${answer} buttons {"Decline", "Approve"} default button "Decline" cancel button "Decline" with icon caution giving up after ((item 3 of argv) as integer)`,
    'if gave up of shown then return "timed-out"',
    'if button returned of shown is not "Approve" then return "declined"',
    last,
    'end run',
  ];
  const asArgs = (script: readonly string[]): string[] => [
    ...script.flatMap((line) => ['-e', line]),
    'Approve?\n\nIt',
    'dstack: your approval is needed',
    '91',
  ];
  expect(ending('approve')).toEqual(asArgs(lines('', 'return "approved"')));
  expect(ending('name')).toEqual(asArgs(lines(' default answer ""', 'return "typed:" & (text returned of shown)')));
});

test('the Windows script stops at the first error, stays on top, and declines by default', () => {
  const { args } = buildDialog('powershell', request('It'));
  expect(args.slice(0, 5)).toEqual(['-NoLogo', '-NoProfile', '-NonInteractive', '-STA', '-Command']);
  const script = args[5]?.split('; ') ?? [];
  expect(script.slice(0, 3)).toEqual([
    "$ErrorActionPreference = 'Stop'",
    'Add-Type -AssemblyName System.Windows.Forms',
    'Add-Type -AssemblyName System.Drawing',
  ]);
  expect(script).not.toContain('');
  for (const line of [
    '$form = New-Object System.Windows.Forms.Form',
    '$form.TopMost = $true',
    '$label.UseMnemonic = $false',
    '$label.Text = $asked.message',
    "$decline.DialogResult = 'Cancel'",
    "$approve.DialogResult = 'OK'",
    '$form.CancelButton = $decline',
    '$form.AcceptButton = $decline',
    'if ($typed) { $form.ActiveControl = $box } else { $form.ActiveControl = $decline }',
  ])
    expect(script).toContain(line);
  expect(script.at(-1)).toBe(
    "if ($result -ne 'OK') { 'declined' } elseif ($typed) { 'typed:' + $box.Text } else { 'approved' }",
  );
});

test.each<[DialogTool, DialogRequest['field'], number | null, string, string, DialogAnswer]>([
  ['zenity', 'name', 0, 'a\nb\n', '', { kind: 'typed', name: 'a\nb' }],
  ['kdialog', 'name', 0, 'a\nb\n', '', { kind: 'typed', name: 'a\nb' }],
  ['powershell', 'name', 0, 'typed:a\r\nb\r\n', '', { kind: 'typed', name: 'a\r\nb' }],
  ['zenity', 'approve', 1, '', 'cannot open display: :9', { kind: 'unavailable', why: 'cannot open display: :9' }],
  ['zenity', 'approve', 1, '', 'a word of the display', { kind: 'declined' }],
  ['zenity', 'approve', 1, '', 'cannot open it', { kind: 'declined' }],
  ['zenity', 'approve', 1, '', '', { kind: 'declined' }],
  ['zenity', 'approve', 0, '', 'cannot open display', { kind: 'approved' }],
  ['zenity', 'approve', 3, '', '', { kind: 'unavailable', why: 'it exited with code 3' }],
  ['zenity', 'approve', 3, '', ' first\nthe last \n\n', { kind: 'unavailable', why: 'the last' }],
  ['kdialog', 'approve', 9, '', 'x'.repeat(300), { kind: 'unavailable', why: 'x'.repeat(200) }],
  ['osascript', 'approve', 1, '', 'execution error: User canceled. (-128)', { kind: 'declined' }],
  ['osascript', 'approve', 0, 'approved\n', 'a warning (-128)', { kind: 'approved' }],
])('the answer of %s (%s) that exits with %s, %j and %j', (tool, field, code, stdout, stderr, answer) => {
  expect(buildDialog(tool, request('It', field)).read({ code, stdout, stderr })).toEqual(answer);
});

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

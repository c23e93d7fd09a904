import { expect, test } from 'vitest';
import { buildDialog } from '../../src/safety/dialog-commands.ts';
import type { DialogTool } from '../../src/safety/dialog-commands.ts';
import type { DialogAnswer, DialogRequest } from '../../src/safety/dialog.ts';

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

test.each<DialogTool>(['osascript', 'powershell'])('with %s the script is the same whatever the text says', (tool) => {
  for (const field of ['approve', 'name'] as const) {
    const scripts = ['harmless', ...EVIL].map((message) => {
      const { args } = buildDialog(tool, request(message, field));
      return tool === 'osascript' ? args.slice(0, -3) : args;
    });
    expect(new Set(scripts.map((script) => JSON.stringify(script))).size).toBe(1);
  }
});

test('osascript gets the text, the title and the time as arguments of the script, behind it', () => {
  const { args, stdin } = buildDialog('osascript', request('-e nonsense'));
  const [text, title, seconds] = args.slice(-3);
  expect(text).toBe('Approve?\n\n-e nonsense');
  expect(title).toContain('approval');
  expect(seconds).toBe('91');
  expect(args.slice(0, -3).every((word, index) => index % 2 === 1 || word === '-e')).toBe(true);
  expect(args.join('\n')).toContain('default button "Decline" cancel button "Decline"');
  expect(stdin).toBe('');
});

test('PowerShell gets the text as ASCII JSON on standard input, and a script without a double quote', () => {
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
  'with %s the text is one argument, which can not be taken for another',
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

test('zenity declines by default and takes the text without markup', () => {
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

test('kdialog gets no text that Qt could take for HTML or escapes', () => {
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
])('%s asking for %s that ends with %s and %j (%j) means %s', (tool, field, code, stdout, stderr, kind) => {
  expect(buildDialog(tool, request('x', field)).read({ code, stdout, stderr }).kind).toBe(kind);
});

test.each<[DialogTool, string, string]>([
  ['zenity', 'train\n', 'train'],
  ['kdialog', '\n', ''],
  ['osascript', 'typed:train\n', 'train'],
  ['powershell', 'typed:typed:x\r\n', 'typed:x'],
])('%s gives the name as it was typed', (tool, stdout, name) => {
  expect(buildDialog(tool, request('x', 'name')).read({ code: 0, stdout, stderr: '' })).toEqual({
    kind: 'typed',
    name,
  });
});

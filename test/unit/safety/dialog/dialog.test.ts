import { expect, test } from 'vitest';
import type { DialogTool, FoundDialog } from '../../../../src/safety/dialog/dialog-commands.ts';
import { createDialog } from '../../../../src/safety/dialog/dialog.ts';

const unavailable: FoundDialog = { kind: 'unavailable', why: 'no desktop' };

test.each<[DialogTool, string]>([
  ['zenity', 'zenity'],
  ['kdialog', 'kdialog (experimental)'],
  ['osascript', 'osascript (experimental)'],
  ['powershell', 'powershell (experimental)'],
])('the availability of a dialog by %s is reported as %s', (tool, shown) => {
  const search = (): FoundDialog => ({ kind: 'available', tool, file: `/usr/bin/${tool}` });
  expect(createDialog({ setting: 'auto', search }).availability()).toEqual({ kind: 'available', tool: shown });
});

test('an unavailable dialog is reported with the reason', () => {
  const search = (): FoundDialog => unavailable;
  expect(createDialog({ setting: 'auto', search }).availability()).toEqual(unavailable);
  expect(createDialog({ setting: 'off', search }).availability()).toEqual({
    kind: 'unavailable',
    why: 'dialogs are disabled',
  });
});

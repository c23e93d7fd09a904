import { expect, test, vi } from 'vitest';
import type { DialogTool } from '../../../../src/safety/dialog/dialog-commands.ts';
import { createDialog } from '../../../../src/safety/dialog/dialog.ts';
import { findDialog } from '../../../../src/safety/dialog/find-dialog.ts';

vi.mock('../../../../src/safety/dialog/find-dialog.ts', () => ({ findDialog: vi.fn<typeof findDialog>() }));

test.each<[DialogTool, string]>([
  ['zenity', 'zenity'],
  ['kdialog', 'kdialog (experimental)'],
  ['osascript', 'osascript (experimental)'],
  ['powershell', 'powershell (experimental)'],
])('the availability of a dialog by %s is reported as %s', (tool, shown) => {
  vi.mocked(findDialog).mockReturnValue({ kind: 'available', tool, file: `/usr/bin/${tool}` });
  expect(createDialog({ setting: 'auto' }).availability()).toEqual({ kind: 'available', tool: shown });
});

test('an unavailable dialog is reported with the reason', () => {
  vi.mocked(findDialog).mockReturnValue({ kind: 'unavailable', why: 'no desktop' });
  expect(createDialog({ setting: 'auto' }).availability()).toEqual({ kind: 'unavailable', why: 'no desktop' });
  expect(createDialog({ setting: 'off' }).availability()).toEqual({ kind: 'unavailable', why: 'dialogs are disabled' });
});

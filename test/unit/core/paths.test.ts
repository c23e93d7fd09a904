import { expect, test } from 'vitest';
import { windowsProgram } from '../../../src/core/paths.ts';

test('a program of Windows is named with its path, so that one in the working directory is not run', () => {
  expect(windowsProgram('taskkill.exe', {})).toBe('C:\\Windows\\System32\\taskkill.exe');
  expect(windowsProgram('taskkill.exe', { SystemRoot: 'D:\\WINDOWS' })).toBe('D:\\WINDOWS\\System32\\taskkill.exe');
});

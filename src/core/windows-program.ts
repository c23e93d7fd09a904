import path from 'node:path';

/** Programs that are part of Windows. */
type WindowsProgram = 'taskkill.exe' | 'WindowsPowerShell\\v1.0\\powershell.exe';

/** Returns the path of a program. A name alone would be looked up in the working directory first, where anyone could have put one. */
export const windowsProgram = (
  program: WindowsProgram,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string => path.win32.join(env['SystemRoot'] ?? 'C:\\Windows', 'System32', program);

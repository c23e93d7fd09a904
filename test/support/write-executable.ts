import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Writes an executable with the given text into a folder and returns its path. */
export async function writeExecutable(folder: string, name: string, lines: readonly string[]): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `${lines.join('\n')}\n`);
  await chmod(file, 0o755);
  return file;
}

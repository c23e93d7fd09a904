import path from 'node:path';

const END_OF_DIRECTORY = Buffer.from('PK\u0005\u0006', 'latin1');
const UV_MAGIC = Buffer.from('UVSC');

/**
 * Returns the interpreter in a launcher of Windows (`dstack.exe`): a program with a zip archive at its end, which contains the script
 * and which Python runs. Undefined if the file isn't one.
 */
export function readLauncher(file: Buffer): string | undefined {
  const interpreter = readUvLauncher(file) ?? readShebang(file);
  return interpreter !== undefined && path.win32.isAbsolute(interpreter) && /pythonw?[\d.]*\.exe$/i.test(interpreter)
    ? interpreter
    : undefined;
}

/** uv appends the path of the interpreter, its length (4 bytes) and a magic word. */
function readUvLauncher(file: Buffer): string | undefined {
  const end = file.length - UV_MAGIC.length;
  if (end < 4 || !file.subarray(end).equals(UV_MAGIC)) return undefined;
  const length = file.readUInt32LE(end - 4);
  return length > end - 4 ? undefined : file.toString('utf8', end - 4 - length, end - 4);
}

/** pip and pipx put a `#!` line right before the archive. */
function readShebang(file: Buffer): string | undefined {
  const end = file.lastIndexOf(END_OF_DIRECTORY);
  if (end < 0 || end + 22 > file.length) return undefined;
  const directorySize = file.readUInt32LE(end + 12);
  const directoryOffset = file.readUInt32LE(end + 16);
  const archive = end - directorySize - directoryOffset;
  const start = archive < 0 ? -1 : file.subarray(0, archive).lastIndexOf('#!');
  if (start < 0) return undefined;
  const line = file.toString('utf8', start + 2, archive).trim();
  return /^"([^"]+)"$/.exec(line)?.[1] ?? (line.includes('\n') ? undefined : line);
}
